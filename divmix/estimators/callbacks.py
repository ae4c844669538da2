"""scikit-learn's callbacks (from 1.9 on, experimental there): one task for each iteration."""

from typing import Any

from divmix.progress import Progress, TraceRow

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # a version without them

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""

    def with_callbacks(method: Any) -> Any:
        """The method as it is."""
        return method


class Listening(Progress):
    """Calls the callbacks of an estimator at each iteration. They watch; none ends the fit."""

    def __init__(self, estimator: Any, X: Any) -> None:
        self._estimator, self._context = estimator, None
        if hasattr(estimator, "_skl_callbacks"):
            self._context = estimator._init_callback_context(max_subtasks=None)
            self._context.call_on_fit_task_begin(estimator=estimator, X=X)

    def iteration(self, row: TraceRow, limit: int) -> None:
        """Tell of an iteration, with its line of the trace as metadata."""
        if self._context is not None:
            task = self._context.subcontext(task_name=row.phase)
            told = {"trace": row._asdict(), "limit": limit}
            task.call_on_fit_task_begin(estimator=self._estimator)
            task.call_on_fit_task_end(estimator=self._estimator, metadata=told)

    def close(self) -> None:
        """The fit is done."""
        if self._context is not None:
            self._context.call_on_fit_task_end(estimator=self._estimator)
