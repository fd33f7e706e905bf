"""What the benchmark counts as a false removal, a late one and a missed one."""

from collections.abc import Callable, Iterable

from benchmarks.hostile.trials import START, USER, Tally, Watch
from etl.sandbox import Sandbox


class Told:
    """A tool that says what it is told to say, after the list has changed during its sync."""

    def __init__(self) -> None:
        self.says: frozenset[int] = frozenset()
        self.meanwhile: Callable[[], object] = lambda: None

    def sync(self, _at: object) -> frozenset[int]:
        self.meanwhile()
        return self.says

    def settle(self) -> frozenset[int]:
        return self.says

    def close(self) -> None:
        pass


def told(watch: Watch, tool: Told, says: Iterable[int], meanwhile: Callable[[], object] = lambda: None) -> Tally:
    """Sync once and return what that added to the counts of removals, false ones and late ones."""
    before = Tally(removals=watch.tally.removals, false=watch.tally.false, late=watch.tally.late)
    tool.says, tool.meanwhile = frozenset(says), meanwhile
    watch.sync(tool, START)
    after = watch.tally
    return Tally(
        removals=after.removals - before.removals, false=after.false - before.false, late=after.late - before.late
    )


def test_a_removal_is_false_where_the_track_was_in_the_list_all_the_time() -> None:
    with Sandbox(tracks=5, users=(USER,)) as sandbox:
        tracks = sandbox.favourites(USER)
        watch, tool = Watch(sandbox, Tally(), "test"), Told()
        told(watch, tool, tracks)
        assert told(watch, tool, tracks[1:]) == Tally(removals=0, false=1)


def test_it_is_true_where_the_track_left_and_is_back_whenever_it_left() -> None:
    with Sandbox(tracks=5, users=(USER,)) as sandbox:
        gone, *rest = sandbox.favourites(USER)
        watch, tool = Watch(sandbox, Tally(), "test"), Told()
        told(watch, tool, [gone, *rest])
        sandbox.unfavourite(USER, gone)
        sandbox.favourite(USER, gone)
        assert told(watch, tool, rest) == Tally(removals=1, false=0)
        told(watch, tool, [gone, *rest], meanwhile=lambda: sandbox.unfavourite(USER, gone))
        assert told(watch, tool, rest, meanwhile=lambda: sandbox.favourite(USER, gone)) == Tally(removals=1, false=0)


def test_what_a_sync_could_have_seen_is_late_and_what_the_last_one_does_not_see_is_missed() -> None:
    with Sandbox(tracks=5, users=(USER,)) as sandbox:
        gone, *rest = sandbox.favourites(USER)
        watch, tool = Watch(sandbox, Tally(), "test"), Told()
        told(watch, tool, [gone, *rest])
        assert told(watch, tool, [gone, *rest], meanwhile=lambda: sandbox.unfavourite(USER, gone)) == Tally()
        assert told(watch, tool, [gone, *rest]) == Tally(late=1)
        watch.settle(tool)
        assert (watch.tally.late, watch.tally.missed, watch.tally.lacking) == (0, 1, 0)
