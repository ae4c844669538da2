"""Mutations of the method, each with the tests that must fail with it: `pytest -m long tests/mutants`.

A mutant is a copy of the package with one piece of text replaced. The idea that the text stands for
is held by a test of its effect, so the test fails with the mutant and passes without it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASCEND, SEARCH = "tests/engine/test_ascend.py", "tests/search/test_diversified.py"
REDUCE, OUTLIERS = "tests/search/test_reduce.py", "tests/choosing/test_outliers.py"
RESUME = "tests/checkpoints/test_resume.py"
ONLINE = "tests/anomaly/test_online.py"
GAPS = "tests/families/test_gaps.py"
UGLY = "tests/tables/test_ugly_files.py"

# name: file, text, replacement, test that dies
MUTANTS = {
    "clusters counted by BIC": (
        "choosing/clusters.py",
        "return min(among, key=lambda candidate: candidate.icl)",
        "return self.candidates[most]",
        "tests/choosing/test_clusters.py::test_a_cluster_that_is_no_ellipse_counts_once",
    ),
    "numbers passed by near the choice": (
        "choosing/clusters.py",
        "self.descend(self.candidates[above].components, below, STEPS[-1])",
        "pass",
        "tests/choosing/test_clusters.py::test_around_the_choice_no_number_is_left_out",
    ),
    "filled cells blamed": (
        "anomaly/detector.py",
        "own[design.features_of(empty)] = np.nan",
        "pass",
        "tests/workflows/test_detect.py::test_a_cell_that_was_filled_is_never_to_blame",
    ),
    "filled cells blamed by a report": (
        "workflows/report.py",
        "X = np.where(mixture.design.features_of(empty), np.nan, X)",
        "pass",
        "tests/workflows/test_missing.py::test_the_report_of_a_run_blames_no_empty_cell",
    ),
    "filled cells of an encoder blamed": (
        "anomaly/substitution.py",
        "contributions[empty] = 0.0",
        "pass",
        "tests/anomaly/test_substitution.py::test_a_cell_that_was_filled_is_not_named",
    ),
    "columns of an encoder never as usual": (
        "anomaly/substitution.py",
        "made[j + 1][:, block] = usual[block]",
        "pass",
        "tests/anomaly/test_substitution.py::"
        "test_the_column_that_is_wrong_is_named_first_in_its_units",
    ),
    "a number for each of many categories": (
        "design/design.py",
        "CODED_FROM = 64",
        "CODED_FROM = 1_000_000",
        "tests/workflows/test_streamed.py::test_of_many_categories_no_matrix_is_made",
    ),
    "predictions without codes": (
        "model/mixture.py",
        "X = self.design.room(batch.num_rows, coded=True)",
        "X = self.design.room(batch.num_rows)",
        "tests/workflows/test_streamed.py::test_of_many_categories_no_matrix_is_made",
    ),
    "all categories as features": (
        "families/mixed.py",
        "return X if isinstance(family, Mixed) else matrix_of(X)",
        "return matrix_of(X)",
        "tests/search/test_wide.py::test_many_categories_are_fitted_without_their_features",
    ),
    "overlaps of all columns held": (
        "families/mixed_overlap.py",
        "for _, own in levels.similarities(probabilities):",
        "for _, own in list(levels.similarities(probabilities)):",
        "tests/families/test_mixed.py::test_overlaps_of_many_columns_are_not_held_at_once",
    ),
    "yes and no twice as far apart": (
        "families/categories.py",
        "squares[:, self.no] = 0.0",
        "pass",
        "tests/search/test_coded_k_means.py::test_distances_are_those_of_the_features",
    ),
    "batches by features": (
        "rows/minibatch.py",
        "X, weights = self._all.take(chosen).held",
        "X, weights = self._all.take(chosen).matrix",
        "tests/search/test_coded_k_means.py::test_a_batch_is_visited_by_its_codes",
    ),
    "a detector by features": (
        "anomaly/detector.py",
        "prepare(table, tables, generator, progress, locate, JOINT, coded=True)",
        "prepare(table, tables, generator, progress, locate, JOINT)",
        "tests/anomaly/test_coded.py",
    ),
    "a category that is new is none by its code": (
        "design/columns.py",
        "return codes == len(self.categories)",
        "return codes < 0",
        "tests/anomaly/test_coded.py::test_scores_are_those_of_all_features",
    ),
    "texts that no row has are categories": (
        "design/columns.py",
        "for place in np.flatnonzero(rows):",
        "for place in range(len(rows)):",
        "tests/design/test_preprocessing.py::test_a_column_with_codes_is_the_column_of_its_texts",
    ),
    "variances of many numbers taken for a matrix": (
        "report/spread.py",
        "variances[places], places, pooled = pooled, places[:0], np.zeros((0, 0))",
        "pass",
        "tests/report/test_plane.py::test_tables_of_many_numbers_have_a_report",
    ),
    "a row without a known category is one of the last": (
        "families/categories.py",
        "self.at = self.starts + np.arange(len(columns))",
        "self.at = self.starts",
        "tests/families/test_coded.py::test_densities_and_sums_are_those_of_all_features",
    ),
    "frames of Dask gathered": (
        "estimators/mixture.py",
        'if frames.is_dask(X) and self.method != "nsvgd":',
        "if False:",
        "tests/estimators/test_dask_frames.py::TestFit::"
        "test_without_a_cluster_the_partitions_are_read_one_by_one",
    ),
    "segments of a frame from the start of their partition": (
        "estimators/dask_frame.py",
        "rows = slice(start - first, stop - first)",
        "rows = slice(0, self._size)",
        "tests/estimators/test_dask_frames.py::TestFit::"
        "test_workers_sum_up_the_rows_to_the_bits_of_memory",
    ),
    "parameters of common numbers in each component": (
        "model/mixture.py",
        "family = common.compared_alone(family, self.fitted_structure)",
        "return family.n_parameters(m, d)",
        "tests/estimators/test_mixture.py::test_criteria_count_the_parameters_that_describe_tells",
    ),
    "categories of a column scattered over the page": (
        "report/page.py",
        "return [int(j) for column in first for j in most[column_of == column]]",
        "return most.tolist()",
        "tests/report/test_page.py::"
        "test_numbers_are_those_of_a_table_and_categories_stand_together",
    ),
    "the first number is the wrong one": (
        "tables/csv_kinds.py",
        "return Kind(pa.float64(), spelling_of(numbers, decimal))",
        "return Kind(pa.float64())",
        "tests/ugly/test_newcomer_files.py::test_one_error_with_a_command_that_then_works",
    ),
    "halves compared again": (
        "choosing/comparison.py",
        'monitor.once(f"split {number}", split)',
        "split()",
        "tests/workflows/test_select.py::TestInterrupted::"
        "test_splits_and_resamples_that_are_done_are_not_done_again",
    ),
    "past rows never change component": (
        "rows/past.py",
        "return own + (known - before) * share",
        "return known",
        "tests/rows/test_past.py::test_the_past_follows_components_that_move",
    ),
    "past rows with the error of their draw": (
        "rows/past.py",
        "return own + (known - before) * share",
        "return own",
        "tests/rows/test_past.py::test_at_the_mixture_the_past_is_what_it_expects",
    ),
    "diversity paid again for the past": (
        "core.py",
        "share * cast(float, settings.alpha)",
        "cast(float, settings.alpha)",
        "tests/workflows/test_update.py::"
        "test_no_new_weight_leaves_the_model_as_it_is_and_diversity_with_it",
    ),
    "what diversity moves is drift": (
        "drift.py",
        "objective = Objective(family, alpha, noise=mixture.noise)",
        "objective = Objective(family, 0.0, noise=mixture.noise)",
        "tests/test_drift.py::test_diversity_is_no_drift",
    ),
    "diversify skipped": (
        "search/relax.py",
        'return searching.climb("diversify", components, prior, iterations, share=schedule.share)',
        "return components",
        f"{SEARCH}::test_diversifying_raises_the_entropy_of_components_that_overlap",
    ),
    "shared drive off": (
        "engine/objective.py",
        "theta = family.coordinates(target) - look.displacement + drive",
        "theta = family.coordinates(target)",
        f"{ASCEND}::test_components_that_coincide_share_their_drive",
    ),
    "entropy sign flipped": (
        "engine/objective.py",
        "Push(self.alpha, gradient)",
        "Push(-self.alpha, gradient)",
        f"{ASCEND}::test_the_push_of_the_entropy_is_an_ascent_of_it",
    ),
    "J without alpha": (
        "progress.py",
        "self.log_likelihood + self.alpha * self.entropy + self.log_prior",
        "self.log_likelihood + self.log_prior",
        f"{ASCEND}::test_the_objective_never_falls_and_the_trace_adds_up",
    ),
    "a step that lowers J is taken": (
        "engine/loop.py",
        "while there.J < self.here.J - ROUNDING and halved < HALVINGS:",
        "while False:",
        f"{ASCEND}::test_the_objective_never_falls_and_the_trace_adds_up "
        f"{ASCEND}::test_a_step_too_long_is_shortened",
    ),
    "overrelaxed steps reach no further": (
        "engine/loop.py",
        "LEAST_REACH, GROWTH, FURTHEST = 0.5, 1.5, 16.0",
        "LEAST_REACH, GROWTH, FURTHEST = 0.5, 1.5, 1.0",
        f"{ASCEND}::test_overrelaxed_steps_settle_in_half_the_visits",
    ),
    "an overrelaxed step that lowers J is taken": (
        "engine/loop.py",
        "if not there.J >= here.J:",
        "if False:",
        f"{ASCEND}::test_the_objective_never_falls_and_the_trace_adds_up "
        f"{ASCEND}::test_overrelaxed_steps_settle_in_half_the_visits",
    ),
    "a climb ends by an overrelaxed step": (
        "engine/loop.py",
        "if climber.reach <= 1:",
        "if True:",
        f"{ASCEND}::test_a_climb_ends_where_an_m_step_has_settled",
    ),
    "how far steps reach is not taken up again": (
        "engine/loop.py",
        "self.coarse, self.share, self.reach, self.visits, _ = stood[3:]",
        "self.coarse, self.share, _, self.visits, _ = stood[3:]",
        f"{ASCEND}::test_a_hundred_steps_are_forty_and_sixty",
    ),
    "a push goes below the floor": (
        "families/axis_aligned.py",
        "np.maximum(LEAST_LEFT * target, narrowest)",
        "LEAST_LEFT * target",
        "tests/families/test_families.py::test_the_push_of_the_entropy_leaves_the_floor",
    ),
    "prior x 10": (
        "families/matrix.py",
        "rows, extra = (0.0, previous[0]) if prior is None else prior",
        "rows, extra = (0.0, previous[0]) if prior is None else (10 * prior.rows, prior.covariance)",
        f"{ASCEND}::test_a_prior_weighs_as_many_rows_as_it_says",
    ),
    "prior not in J": (
        "engine/objective.py",
        "family.log_prior(components, self.prior) / total_weight,",
        "0.0,",
        f"{ASCEND}::test_a_prior_is_a_part_of_j",
    ),
    "a climb begins anew": (
        "engine/loop.py",
        "if state.climb is None:",
        "if True:",
        f"{ASCEND}::test_a_hundred_steps_are_forty_and_sixty",
    ),
    "steps taken as they come begin anew": (
        "engine/loop.py",
        "if state.climb is not None:",
        "if False:",
        f"{RESUME}::test_what_was_done_is_not_done_again",
    ),
    "the generator of batches is not remembered": (
        "engine/loop.py",
        "state.generator.bit_generator.state = stood.generator.bit_generator.state",
        "pass",
        f"{RESUME}::test_a_fit_that_a_signal_stops_goes_on_to_the_same_bits",
    ),
    "finished phases are not remembered": (
        "engine/monitor.py",
        "            self._enter(state)\n\n    def _enter",
        "            pass\n\n    def _enter",
        f"{RESUME}::test_a_fit_that_is_killed_goes_on_from_the_checkpoint_before",
    ),
    "choices are not remembered": (
        "engine/monitor.py",
        "self.journal.enter(name, found)",
        "pass",
        f"{RESUME}::test_what_was_chosen_is_not_chosen_again",
    ),
    "no vote among starts": (
        "search/compete.py",
        "return int(alike[medoid_partition(labels, np.array(votes)[alike])])",
        "return best",
        f"{SEARCH}::test_the_vote_of_the_starts_counts",
    ),
    "no other start than the path's": (
        "search/compete.py",
        "return components[agreed(searching, components, values, votes)]",
        "return components[0]",
        f"{SEARCH}::test_small_clusters_beside_large_ones_are_found",
    ),
    "copies of a mixture are put together": (
        "search/compete.py",
        "return [ranked[0], *compress(ranked[1:], lower)]",
        "return ranked",
        f"{SEARCH}::test_starts_that_lead_to_one_mixture_compete_together_once",
    ),
    "outliers are a question of AIC3": (
        "choosing/outliers.py",
        "(np.log(n) - searching.schedule.per_parameter)",
        "0.0",
        f"{OUTLIERS}::test_outliers_about_a_curve_are_not_a_heap_of_components",
    ),
    "outliers are not looked for": (
        "choosing/outliers.py",
        "return FirstLook(True, apart.components.count > searching.k, way)",
        "return FirstLook(False, rich, way)",
        f"{REDUCE}::test_outliers_are_no_reason_to_take_crossing_ellipses_for_unions "
        f"{OUTLIERS}::test_outliers_widen_no_cluster_and_count_to_the_likeliest",
    ),
    "each parameter costs what BIC takes": (
        "search/thinning.py",
        "return searching.schedule.per_parameter /",
        "return np.log(searching.rows) /",
        f"{REDUCE}::test_shapes_of_few_rows_are_unions",
    ),
    "mixtures of more parameters than rows are weighed": (
        "search/thinning.py",
        "return min([*weighed, last], key=lambda own: own.aic3)",
        "return min(levels, key=lambda own: own.aic3)",
        f"{REDUCE}::test_more_parameters_than_rows_make_no_unions",
    ),
    "scattered rows make unions": (
        "search/reduce.py",
        "noise is not None and level_beside(searching, last.components, noise).aic3 <= least",
        "False",
        f"{REDUCE}::test_few_rows_that_scatter_leave_ellipses_ellipses",
    ),
    "given components lose their order": (
        "workflows/fit.py",
        "in_order=start is None",
        "in_order=True",
        "tests/estimators/test_mixture.py::test_given_components_keep_their_order",
    ),
    "stragglers keep nobody waiting": (
        "benchmarks/cluster.py",
        "costs.straggling * generator",
        "0.0 * generator",
        "tests/benchmarks/test_cluster.py::test_a_visit_waits_for_stragglers",
    ),
    "a batch of labels without its classes": (
        "workflows/evaluate.py",
        "self._counts[classes[row], clusters[column]] += count",
        "self._counts[classes[row], clusters[column]] = count",
        "tests/workflows/test_evaluate.py::test_clusters_of_many_batches_are_those_of_one",
    ),
    "far values untold": (
        "design/number_notes.py",
        "notes += _on_far_values(known)",
        "pass",
        "tests/design/test_number_notes.py::"
        "test_a_value_far_from_all_others_is_told_with_what_the_others_are",
    ),
    "a unit in some cells only": (
        "tables/number_text.py",
        'or ("" in units and not re.fullmatch(f"(?:{_CURRENCY})?", unit))',
        "",
        "tests/tables/test_number_text.py::test_a_column_is_read_as_numbers_where_it_leaves_no_doubt",
    ),
    "rows of one hash are taken for equal": (
        "rows/repetitions.py",
        "equal = _are_equal(X, used[left], found)",
        "equal = np.ones(len(left), np.bool_)",
        "tests/rows/test_repetitions.py::test_rows_of_one_hash_are_held_against_each_other",
    ),
    "columns of labels that do not count are read": (
        "workflows/evaluate.py",
        "labels = known = labels.among([truth, *wanted], as_text)",
        "known = labels",
        "tests/workflows/test_evaluate.py::"
        "test_a_bad_value_in_a_column_that_does_not_count_is_not_read",
    ),
    "clusters join for outliers": (
        "search/thinning.py",
        "    if noise is None:\n        return family.joined(components, labels)\n",
        "    if True:\n        return family.joined(components, labels)\n",
        f"{REDUCE}::test_a_handful_of_outliers_is_left_to_the_noise_and_no_clusters_join_for_it",
    ),
    "the first way is gone twice": (
        "core.py",
        "way if usual else None,",
        "None,",
        f"{OUTLIERS}::test_the_way_that_is_looked_at_is_the_first_of_the_search",
    ),
    "a way of other rows": (
        "choosing/settle.py",
        "rows.sample(sample_rows(k), np.random.default_rng(settings.seed))",
        "rows.sample(sample_rows(k), np.random.default_rng(settings.seed + 1))",
        f"{OUTLIERS}::test_the_way_that_is_looked_at_is_one_of_the_rows_that_are_searched",
    ),
    "outliers of no cluster": (
        "model/mixture.py",
        "self._likeliest(joint) if self.noise_joins else share.argmax(axis=1)",
        "share.argmax(axis=1)",
        f"{OUTLIERS}::test_the_model_keeps_whose_the_outliers_are",
    ),
    "broad components make the prior broad": (
        "families/location_scale.py",
        "return mean * np.exp((shares @ logs[:-1] - logs[-1]) / max(len(mean), 1))",
        "return mean",
        f"{OUTLIERS}::test_a_few_broad_components_do_not_make_what_they_have_in_common_broad",
    ),
    "unions hang on one start": (
        "search/reduce.py",
        "range(searching.schedule.other_ways)",
        "range(0)",
        f"{REDUCE}::test_unions_do_not_hang_on_one_start",
    ),
    "the clearest unions have the only vote": (
        "search/reduce.py",
        "return found[medoid_partition(labels, np.array(clear))]",
        "return found[int(np.argmax(clear))]",
        f"{REDUCE}::test_unions_do_not_hang_on_one_start",
    ),
    "any level of unions": (
        "search/reduce.py",
        "return found[medoid_partition(labels, np.array(clear))]",
        "return found[0]",
        f"{REDUCE}::test_unions_are_read_where_their_clusters_are_parted_most_clearly",
    ),
    "relaxation without its prior": (
        "search/relax.py",
        "prior = searching.pooled(components, schedule.relaxed_prior)\n"
        '    return searching.climb("relax", components, prior, schedule.relax_iterations)',
        'return searching.climb("relax", components, None, schedule.relax_iterations)',
        f"{SEARCH}::test_relaxed_components_are_no_narrower_than_their_prior_has_it",
    ),
    "full matrices whatever the rows": (
        "choosing/covariance.py",
        "return best if means[best] - means[own] > SCHEDULE.alike * chance else own",
        "return own",
        f"{SEARCH}::test_noise_in_many_columns_gets_no_full_matrices",
    ),
    "any value that comes often stands for itself": (
        "design/number_notes.py",
        "if first < max(LEAST_SHARE * len(values), TIMES * second):",
        "if first < LEAST_SHARE * len(values):",
        "tests/design/test_number_notes.py::"
        "test_scales_counts_and_rounded_numbers_have_no_such_value",
    ),
    "columns as fine as rounding": (
        "choosing/covariance.py",
        "STEP_FLOOR = 0.25",
        "STEP_FLOOR = 1 / 12",
        "tests/choosing/test_shape_and_alpha.py::"
        "test_codes_that_are_numbers_do_not_outweigh_clusters",
    ),
    "centre without a shared covariance": (
        "search/relax.py",
        "        components = parted(searching, components)\n",
        "        pass\n",
        f"{SEARCH}::test_from_the_centre_repulsion_parts_components_in_half_the_steps",
    ),
    "numbers without a logarithm are usual": (
        "design/numeric_column.py",
        "return self._without_power(encoded[:, 0]) < NO_LOGARITHM",
        "pass",
        "tests/workflows/test_detect.py::"
        "test_a_number_that_has_no_logarithm_is_flagged_in_the_units_of_its_column",
    ),
    "columns as skewed as they are": (
        "anomaly/detector.py",
        "made = symmetric(design, rows.held, rows.row_weights)",
        "made = design",
        "tests/anomaly/test_pool.py::test_skewed_columns_that_hang_together_are_made_symmetric",
    ),
    "far rows decide on the power": (
        "design/symmetry.py",
        "TENTHS = (0.1, 0.5, 0.9)",
        "TENTHS = (0.001, 0.5, 0.999)",
        "tests/design/test_symmetry.py::test_how_far_anomalies_lie_does_not_move_the_power",
    ),
    "every column has a power": (
        "design/symmetry.py",
        "STANDARD_ERRORS = 2 * 1.04",
        "STANDARD_ERRORS = 0.0",
        "tests/design/test_symmetry.py::test_a_column_that_may_be_symmetric_stays_as_it_is",
    ),
    "one opinion of all shapes": (
        "anomaly/pool.py",
        "of = [int(shape != shapes[0]) for shape in shapes]",
        "of = [0 for shape in shapes]",
        "tests/anomaly/test_pool.py::"
        "test_what_one_opinion_sees_is_not_lost_in_the_spread_of_the_other",
    ),
    "powers for all members": (
        "anomaly/pool.py",
        'seen = without(rows, powers) if shape == "diag" else rows',
        "seen = rows",
        "tests/anomaly/test_pool.py::test_diagonal_members_see_columns_without_their_powers",
    ),
    "no trimming": (
        "anomaly/pool.py",
        "likely[order] = below > TRIMMED * below[-1]",
        "likely[order] = True",
        "tests/anomaly/test_pool.py::test_the_least_likely_rows_have_no_say",
    ),
    "tails of all rows": (
        "anomaly/tails.py",
        "CENTRAL = (0.5, 0.95)",
        "CENTRAL = (0.5, 0.999)",
        "tests/anomaly/test_tails.py::test_anomalies_do_not_make_their_own_tail",
    ),
    "scales as trimmed": (
        "anomaly/tails.py",
        "scale[j], dof[j] = tail_of(quantiles, X.shape[1])",
        "dof[j] = tail_of(quantiles, X.shape[1])[1]",
        "tests/anomaly/test_tails.py::test_heavy_and_light_tails_are_told_and_the_scale_of_both",
    ),
    "members averaged": (
        "anomaly/surprisal.py",
        "    starts = np.flatnonzero(np.diff(pool.members, prepend=-1))\n",
        "    starts = np.zeros(1, int)\n",
        "tests/anomaly/test_pool.py::test_what_one_member_has_a_component_for_stays_improbable",
    ),
    "members by their mean": (
        "anomaly/opinions.py",
        "    if usual is None:\n        return surprisals.mean(axis=1)",
        "    if True:\n        return surprisals.mean(axis=1)",
        "tests/anomaly/test_pool.py::test_a_row_that_breaks_a_dependency_is_strange_though_diagonal_"
        "members_do_not_see_it",
    ),
    "no detailed member": (
        "anomaly/pool.py",
        "return components is None and rows.visited // ROWS_EACH > MOST_COMPONENTS",
        "return False",
        "tests/anomaly/test_pool.py::test_a_detailed_member_sees_what_few_components_cover",
    ),
    "nothing that all agree on": (
        "anomaly/opinions.py",
        "z[:, -1] = (_agreed(z, usual) - centre) / scale",
        "z[:, -1] = 0.0",
        "tests/anomaly/test_pool.py::"
        "test_what_all_opinions_and_the_margins_agree_on_is_an_opinion_too",
    ),
    "margins by their upper side": (
        "anomaly/margins.py",
        "side = np.where(_skewness(N) > 0, 1.0, -1.0)",
        "side = np.ones(N.shape[1])",
        "tests/anomaly/test_margins.py",
    ),
    "anomalies widen what is usual": (
        "anomaly/opinions.py",
        "excess = np.clip(said - centres, 0.0, end - centres).sum(axis=0)",
        "excess = np.maximum(said - centres, 0.0).sum(axis=0)",
        "tests/anomaly/test_pool.py::test_anomalies_do_not_widen_what_is_usual",
    ),
    "each batch a stream of its own": (
        "anomaly/online.py",
        "rate * share(len(past)), sum(batch.flagged for batch in past)",
        "rate, 0",
        f"{ONLINE}::test_200_batches_against_the_same_known_rows_keep_the_rate",
    ),
    "saffron spends without an account": (
        "anomaly/online.py",
        "left = given - spent(past)",
        "left = given",
        f"{ONLINE}::test_saffron_never_spends_more_than_the_rate",
    ),
    "no weights under a shift": (
        "anomaly/shift.py",
        "return np.exp(self.intercept + (X - self.mean) / self.scale @ self.slopes)",
        "return np.ones(len(X))",
        "tests/anomaly/test_shift.py::test_p_values_under_covariate_shift_are_uniform_where_ranks_"
        "are_not",
    ),
    "a tail told by the pooled scores": (
        "anomaly/opinions.py",
        "    centre, scale = usual.opinions[0]\n    return (scores - centre) / scale\n",
        "    centre, scale = usual_of(scores[:, None], np.zeros(1, int)).opinions[0]\n"
        "    return (scores - centre) / scale\n",
        "tests/anomaly/test_p_values.py::"
        "test_what_several_opinions_say_is_not_taken_for_a_lighter_tail",
    ),
    "an exponential of known rate": (
        "anomaly/p_values.py",
        "(1 + np.maximum(excess[far], 0.0) / seen) ** -seen",
        "np.exp(-np.maximum(excess[far], 0.0))",
        "tests/anomaly/test_p_values.py::test_the_error_of_the_rate_is_taken_into_account",
    ),
    "known rows far from the others untold": (
        "anomaly/detector.py",
        "if far <= FAR_SHARE * len(known):",
        "if True:",
        "tests/workflows/test_detect.py::test_known_rows_that_look_like_anomalies_are_told_of",
    ),
    "rows below a group counted as if it were normal": (
        "anomaly/p_values.py",
        "np.maximum(found[group:], _gaps(known, group)[group:])",
        "found[group:]",
        "tests/anomaly/test_p_values.py::"
        "test_a_group_of_more_than_a_twentieth_may_be_a_rare_kind_of_normal_rows",
    ),
    "groups of up to a tenth": (
        "anomaly/p_values.py",
        "GROUP = 0.05",
        "GROUP = 0.1",
        "tests/anomaly/test_p_values.py::"
        "test_a_group_of_more_than_a_twentieth_may_be_a_rare_kind_of_normal_rows",
    ),
    "no groups apart": (
        "anomaly/p_values.py",
        "np.minimum(tail_p_values(own, excess[there]), apart_p_values(own))",
        "tail_p_values(own, excess[there])",
        "tests/anomaly/test_p_values.py::test_a_group_apart_is_found_where_single_rows_are_not",
    ),
    "principal components within blocks": (
        "encoders/pca.py",
        "scatter = scatter + np.outer(gap, gap) * (rows * len(X) / both)",
        "pass",
        "tests/encoders/test_encoders.py::test_pca_of_blocks_is_that_of_all_rows",
    ),
    "scored rows kept": (
        "anomaly/detector.py",
        "highest, values, rows, empty = highest[kept], values[kept], rows[kept], empty[kept]",
        "rows = np.vstack([rows, matrix_of(prepared)])\n        "
        "empty = np.vstack([empty, columns.empty_cells(batch)])",
        "tests/workflows/test_detect.py::test_of_a_row_that_is_scored_two_numbers_are_kept",
    ),
    "an unseen category shifts its row": (
        "anomaly/detector.py",
        "X[new.complete & ~unseen.any(axis=1)]",
        "X[new.complete]",
        "tests/workflows/test_detect.py::test_a_new_category_is_no_shift_of_the_rows_that_have_it",
    ),
    "no reason where many columns share it": (
        "anomaly/reasons.py",
        "if outside or len(told) < 2:",
        "if True:",
        "tests/anomaly/test_surprisal.py::"
        "test_a_row_that_is_a_little_unusual_in_many_columns_has_a_reason_too",
    ),
    "rare categories blamed": (
        "anomaly/reasons.py",
        "np.maximum(np.maximum(usual[:, j], rarity), np.log(2))",
        "usual[:, j]",
        "tests/workflows/test_mixed_tables.py::test_a_category_is_never_blamed_for_being_rare_alone",
    ),
    "usual categories blamed": (
        "anomaly/reasons.py",
        "np.maximum(np.maximum(usual[:, j], rarity), np.log(2))",
        "np.maximum(usual[:, j], rarity)",
        "tests/workflows/test_mixed_tables.py::test_a_category_is_never_blamed_for_being_rare_alone",
    ),
    "numbers that know nothing are compared": (
        "core.py",
        "if not len(irrelevant):",
        "if True:",
        "tests/choosing/test_irrelevant.py::test_noise_changes_no_label_and_keeps_its_density",
    ),
    "modes are not looked for": (
        "choosing/irrelevant.py",
        "alone[j] = is_unimodal(own, of_own) and not in_two_groups(own, of_own)",
        "pass",
        "tests/choosing/test_irrelevant.py::test_noise_is_left_out_and_what_knows_something_is_kept",
    ),
    "small groups are not looked for": (
        "choosing/irrelevant.py",
        " and not in_two_groups(own, of_own)",
        "",
        "tests/choosing/test_irrelevant.py::test_a_small_group_of_values_keeps_its_column",
    ),
    "columns are not looked at together": (
        "choosing/irrelevant.py",
        "alone[j] = found >= SIGNIFICANT / len(scales)",
        "pass",
        "tests/choosing/test_irrelevant.py::test_what_columns_tell_only_together_is_seen",
    ),
    "scattered rows are a cluster": (
        "choosing/clusters.py",
        "if scattered.best.bic < path.best.bic - CLEARLY:",
        "if False:",
        "tests/choosing/test_clusters.py::test_scattered_rows_are_no_cluster",
    ),
    "every cluster is found": (
        "choosing/bootstrap.py",
        "return (jaccard >= FOUND).mean(axis=0)",
        "return (jaccard >= 0.0).mean(axis=0)",
        "tests/choosing/test_bootstrap.py::test_found_is_what_most_of_a_cluster_came_back_of",
    ),
    "categories part shapes": (
        "search/thinning.py",
        "shape_joint(searching, components, rows)[:, : components.count]",
        "searching.objective().log_joint(rows, components)[:, : components.count]",
        "tests/search/test_shape.py::test_halves_that_a_yes_no_column_splits_are_one_union",
    ),
    "upright pictures are cut": (
        "encoders/deskew.py",
        "return cls(height, width, _margin(X.reshape(len(X), height, width)))",
        "return cls(height, width)",
        "tests/encoders/test_encoders.py::test_upright_pictures_are_as_large_as_what_they_show",
    ),
    "means of a graph's clusters are those of all rows": (
        "encoders/neighbours.py",
        "shares = responsibilities(self.embedding)",
        "shares = 0 * responsibilities(self.embedding)",
        "tests/encoders/test_decoding.py::test_means_of_clusters_are_led_back_to_those_of_their_rows",
    ),
    "the rate of joint training does not fall": (
        "encoders/joint.py",
        "            rate.step()",
        "            pass",
        "tests/encoders/test_encoders.py::TestAutoencoder::"
        "test_the_rate_falls_so_that_codes_and_clusters_settle",
    ),
    "joint training takes normal components": (
        "encoders/joint.py",
        'family="student",',
        'family="gaussian",',
        "tests/encoders/test_encoders.py::TestAutoencoder::"
        "test_far_codes_leave_the_clusters_of_joint_training_narrow",
    ),
    "methods go on from each other's networks": (
        "encoders/training.py",
        "self.network.load_state_dict(state[0])",
        "pass",
        "tests/benchmarks/test_anomaly_and_mnist.py::"
        "test_each_method_goes_on_from_the_same_network",
    ),
    "kernels compiled for another layout": (
        "families/moments.py",
        "matrices.log_dets(np.ascontiguousarray(covariances))",
        "matrices.log_dets(covariances)",
        "tests/kernels/test_compile.py::test_a_fit_compiles_each_kernel_once",
    ),
    "missing cells without a spread": (
        "kernels/gaps.py",
        "_add(mass, product, second[missing[a], missing[b]])",
        "pass",
        f"{GAPS}::test_em_climbs_the_likelihood_and_its_end_is_a_peak_of_it",
    ),
    "missing cells take means": (
        "kernels/gaps.py",
        "_add(slopes[u, a], square[b, a], by_slopes[b])",
        "pass",
        f"{GAPS}::test_em_climbs_the_likelihood_and_its_end_is_a_peak_of_it",
    ),
    "a missing yes or no is a no": (
        "families/categories.py",
        "return found - missing[:, places] @ np.log(probabilities[:, self.no]).T",
        "return found",
        f"{GAPS}::test_categories_that_are_missing_say_nothing_and_count_by_their_probabilities",
    ),
    "degrees of freedom by all columns": (
        "families/student.py",
        "return logs + _by_number(_excess, seen.columns, dof) - _excess(d, dof)",
        "return logs",
        f"{GAPS}::test_sums_are_those_of_the_complete_rows_that_are_expected",
    ),
    "run.json is believed": (
        "workflows/run_folder.py",
        "run_document.check(document)",
        "pass",
        "tests/ugly/test_runs.py::test_changed_runs_work_or_are_refused_in_two_lines",
    ),
    "empty cells have a unit": (
        "design/preprocessing.py",
        "of_column = np.where(missing, 0.0, of_column)",
        "of_column = np.where(missing, 1.0, of_column)",
        "tests/workflows/test_missing.py::test_a_density_has_the_units_of_the_cells_that_are_there",
    ),
    "rows are lines": (
        "tables/csv_rows.py",
        "line = before + rows.line_num + 1",
        "line += bool(cells)",
        f"{UGLY}::test_an_error_names_the_line_on_which_its_row_starts",
    ),
    "comments have quotes": (
        "tables/csv_rows.py",
        "rows = csv.reader(islice(text, before, None)",
        "rows = csv.reader(islice(text, 0, None)",
        f"{UGLY}::test_an_error_names_the_line_on_which_its_row_starts",
    ),
}


def test_every_mutant_still_stands_in_the_code():
    for name, (file, text, _, _) in MUTANTS.items():
        assert (ROOT / "divmix" / file).read_text().count(text) >= 1, name


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_killed(name, tmp_path):
    file, text, replacement, tests = MUTANTS[name]
    for part in ("divmix", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "divmix" / file
    path.write_text(path.read_text().replace(text, replacement))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *tests.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout[-2_000:] + done.stderr[-500:]
