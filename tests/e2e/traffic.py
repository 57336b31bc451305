"""A steady loop of requests, run as a program inside a machine: one new connection each, until standard input ends.

    python traffic.py URL PAUSE_S      prints {"sent": n, "failed": m, "failures": [...], "by": {answer: count}}

Bounded: it ends by itself after 120 s or 20,000 requests.
"""

import json
import select
import sys
import time
import urllib.request

REQUESTS_MAX = 20_000
SECONDS_MAX = 120


def main() -> None:
    url, pause_s = sys.argv[1], float(sys.argv[2])
    sent, failures, by = 0, [], {}
    began = time.monotonic()
    print("started", flush=True)
    while sent < REQUESTS_MAX and time.monotonic() - began < SECONDS_MAX:
        at = time.monotonic() - began
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                text = answer.read().decode().strip()
            by[text] = by.get(text, 0) + 1
        except OSError as error:
            failures.append(f"{at:.2f} s: {error}")
        sent += 1
        if select.select([sys.stdin], [], [], pause_s)[0]:
            break
    print(json.dumps({"sent": sent, "failed": len(failures), "failures": failures[:5], "by": by}))


if __name__ == "__main__":
    main()
