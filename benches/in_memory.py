"""A replica without a file beside one in a file: first syncs, reads, syncs of
one row, and the memory that it takes."""

from support import ROUNDS, TABLE, Sqld, child, fill, median, percentile, spread


def in_memory():
    """Replicas without a file beside those in one, each in turn."""
    for megabytes in (1, 10, 100):
        sqld = Sqld("--max-log-size", "100000")
        fill(sqld, megabytes, 1)
        memory, file = [], []
        for number in range(ROUNDS * 2 + 1 if megabytes < 100 else ROUNDS):
            works = [("first_sync_in_memory", memory), ("first_sync", file)]
            # Whoever comes first finds a colder server.
            for work, seconds in works if number % 2 else reversed(works):
                seconds.append(child(work, sqld.url)["seconds"])
        TABLE.add(f"first sync in memory, {megabytes} MB", spread(memory, digits=3), "a file " + spread(file, digits=3), f"{median(memory) / median(file):.2f}x", "")
        if megabytes == 100:
            beside_a_file(sqld)
            footprint(sqld)
        sqld.close()


def beside_a_file(sqld):
    """Both in one process and in turn, on the same 100 MB."""
    run = child("in_memory_beside_file", sqld.url, primary=sqld.url, count=15)
    memory, file = run["reads"]["memory"], run["reads"]["file"]
    TABLE.add("point SELECT in memory, 100 MB", f"{median(memory) * 1e6:.2f} µs", f"a file {median(file) * 1e6:.2f} µs", f"{median(memory) / median(file):.2f}x", "random rows, Python around it")
    memory, file = run["syncs"]["memory"], run["syncs"]["file"]
    TABLE.add("sync of one row in memory, p50", f"{median(memory) * 1e3:.2f} ms", f"a file {median(file) * 1e3:.2f} ms", f"{median(memory) / median(file):.2f}x", f"p99 {percentile(memory, 0.99) * 1e3:.2f} and {percentile(file, 0.99) * 1e3:.2f} ms")


def footprint(sqld):
    run = child("memory_taken", sqld.url, primary=sqld.url)
    size = run["database_mb"]
    TABLE.add("memory of one in memory, at rest", f"{run['rest_mb']:.0f} MB", f"database {size:.0f} MB", f"+{run['rest_mb'] - size:.1f} MB", f"first sync at most {run['first_mb']:.0f} MB")
    TABLE.add("— while all is rewritten", f"{run['rewrite_mb']:.0f} MB", f"twice {2 * size:.0f} MB", f"{run['rewrite_mb'] - 2 * size:+.1f} MB", f"afterwards {run['after_mb']:.0f} MB")
