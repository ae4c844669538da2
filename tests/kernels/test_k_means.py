import numpy as np
import pytest

from divmix.kernels import k_means as clustering


def blobs(n=203, m=5, d=3, seed=0):
    """Rows about places far apart, weights of which some are 0, and the place of each row."""
    generator = np.random.default_rng(seed)
    places = 30 * np.eye(m, d) + 30 * np.arange(m)[:, None]
    truth = generator.permutation(np.arange(n) % m)
    weights = generator.integers(0, 3, n).astype(float)
    return places[truth] + generator.normal(size=(n, d)), weights, truth


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 1, 3), (8, 9, 2), (50, 17, 1), (9, 8, 20)])
def test_the_nearest_centre_of_each_row(shape):
    n, m, d = shape
    generator = np.random.default_rng(0)
    X, centers = generator.normal(size=(n, d)), generator.normal(size=(m, d))
    distances = ((X[:, None] - centers) ** 2).sum(axis=2)
    np.testing.assert_array_equal(clustering.nearest(X, centers), distances.argmin(axis=1))


def test_of_equal_centres_the_first_is_nearest():
    assert (clustering.nearest(np.zeros((3, 2)), np.ones((11, 2))) == 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_start_has_a_row_of_each_place_and_none_of_no_weight(seed):
    X, weights, truth = blobs(seed=seed)
    chosen = clustering.spread(X, weights, 5, np.random.default_rng(seed))
    assert sorted(truth[chosen]) == [0, 1, 2, 3, 4]
    assert (weights[chosen] > 0).all()


def test_the_first_row_of_a_start_is_any():
    X = np.linspace(-1, 1, 101)[:, None]
    found = [clustering.spread(X, np.ones(101), 5, np.random.default_rng(s))[0] for s in range(300)]
    assert np.std(X[found]) == pytest.approx(np.std(X), abs=0.06)


def test_the_next_row_of_a_start_is_a_far_one():
    # 1 and 1.1 weigh much, but next to each other one of them is enough.
    X, weights = np.array([[1.0], [1.1], [9.0]]), np.array([100.0, 100.0, 1.0])
    found = [clustering.spread(X, weights, 2, np.random.default_rng(seed)) for seed in range(50)]
    assert sum(2 in chosen for chosen in found) >= 48


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_found_and_are_those_of_their_means(seed):
    X, weights, truth = blobs(seed=seed)
    labels = clustering.k_means(X, weights, 5, np.random.default_rng(seed))
    assert len(np.unique(np.stack([labels, truth]), axis=1).T) == 5
    X, weights, _ = blobs(n=403, m=1, seed=seed)  # where nothing parts them
    labels = clustering.k_means(X, weights, 7, np.random.default_rng(seed))
    means = [np.average(X[labels == j], axis=0, weights=weights[labels == j]) for j in range(7)]
    assert (clustering.nearest(X, np.array(means)) == labels).mean() > 0.99


def test_weights_count_as_so_many_rows():
    X, weights, _ = blobs(n=60, m=3)
    places = np.repeat(np.arange(60), weights.astype(int))
    one = clustering.k_means(X, weights, 3, np.random.default_rng(1))
    other = clustering.k_means(X[places], np.ones(len(places)), 3, np.random.default_rng(2))
    np.testing.assert_array_equal(one[places][:, None] == one[places], other[:, None] == other)


def test_an_empty_cluster_takes_the_farthest_row():
    rows = np.array([[0.0], [0.1], [5.0], [7.0]])
    centers = np.array([[0.0], [100.0]])
    labels, closest = np.full(4, -1), np.empty(4)
    flat = clustering._padded(rows)
    assert clustering._nearest(flat, centers, labels, closest) == 4
    clustering._move(flat, np.ones(4), labels, closest, centers)
    np.testing.assert_allclose(centers[:, 0], [rows.mean(), 7.0])


def test_as_good_as_that_of_scikit_learn():
    from sklearn.cluster import KMeans

    generator = np.random.default_rng(0)
    X, weights = generator.normal(size=(500, 4)), generator.uniform(0.5, 2, 500)

    def within(labels):
        means = [np.average(X[labels == j], axis=0, weights=weights[labels == j]) for j in range(8)]
        return weights @ ((X - np.array(means)[labels]) ** 2).sum(axis=1)

    ours, theirs = [], []
    for seed in range(20):
        ours.append(within(clustering.k_means(X, weights, 8, np.random.default_rng(seed))))
        model = KMeans(8, n_init=1, random_state=seed)
        theirs.append(within(model.fit_predict(X, sample_weight=weights)))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.02)
    assert min(ours) <= 1.02 * min(theirs)
