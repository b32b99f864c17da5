"""Runs SQL on a server that is just starting: run_sql.py URL SQL [PID]

Waits half a minute for it, and no longer than the process lives.
"""

import json
import os
import sys
import time
import urllib.request

url, sql, *process = sys.argv[1:]
body = json.dumps({"requests": [{"type": "sequence", "sql": sql}, {"type": "close"}]}).encode()
for attempt in range(600):
    try:
        if process:
            os.kill(int(process[0]), 0)
        answer = json.load(urllib.request.urlopen(url + "/v3/pipeline", body))
        sys.exit(0 if answer["results"][0]["type"] == "ok" else str(answer))
    except ProcessLookupError:
        sys.exit("sqld has ended")
    except OSError:
        time.sleep(0.05)
sys.exit("sqld does not answer")
