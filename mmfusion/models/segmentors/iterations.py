"""The number of the training iteration, for what does not happen in every one."""

from mmengine.logging import MessageHub


class IterationCounter:
    """Counts as the runner does, so that a run that was resumed goes on where it was; by itself without a runner.

    Examples:
        >>> counter = IterationCounter()
        >>> [counter.next() for _ in range(3)]
        [0, 1, 2]
    """

    def __init__(self) -> None:
        self.number = -1
        self._told: int | None = None

    def next(self) -> int:
        """The number of the iteration that begins, from 0.

        Examples:
            >>> MessageHub.get_current_instance().update_info('iter', 7)
            >>> counter = IterationCounter()
            >>> counter.next(), counter.next()  # The runner would have told that one is over.
            (7, 8)
            >>> MessageHub.get_current_instance().pop_info('iter')
            7
        """
        told = MessageHub.get_current_instance().get_info('iter')
        # What a runner left behind does not count on.
        self.number = self.number + 1 if told is None or told == self._told else told
        self._told = told
        return self.number
