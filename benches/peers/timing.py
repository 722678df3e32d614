"""Median steps, as the peers' scripts print them."""
import json
import resource
import time


def report(step, batch, seconds):
    """Runs `step` for `seconds`, at least three times after two to warm up, and prints images/s and peak memory as JSON."""
    times, begun = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        step()
        times.append(time.perf_counter() - at)
    steady = sorted(times[2:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"images_per_s": round(batch / steady[len(steady) // 2], 2), "peak_mib": peak}))
