"""What a proxy between a replica and its primary costs: nginx as it comes, which
gathers streams into a buffer, and other fronts beside it.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

from support import ROUNDS, TABLE, Link, Sqld, child, free_port, median, percentile, shuffled

# Round trip between the replica and what stands before the primary.
TRIP = 0.02

NGINX = """daemon off; master_process off; error_log {folder}/log; pid {folder}/pid; events {{}}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{upstream}; {extra} }} }} }}
"""

HAPROXY = """defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
  {extra}
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server primary 127.0.0.1:{upstream}
"""

FRONTS = {
    "nginx, defaults": ("/usr/sbin/nginx", NGINX, ""),
    "nginx, no buffering": ("/usr/sbin/nginx", NGINX, "proxy_buffering off;"),
    "HAProxy, defaults": ("/usr/sbin/haproxy", HAPROXY, ""),
    "HAProxy, no delay": ("/usr/sbin/haproxy", HAPROXY, "option http-no-delay"),
}


@contextlib.contextmanager
def front(name, upstream):
    """Its port."""
    program, config, extra = FRONTS[name]
    folder, port = tempfile.mkdtemp(prefix="replica-bench-"), free_port()
    file = os.path.join(folder, "config")
    with open(file, "w") as out:
        out.write(config.format(folder=folder, port=port, upstream=upstream, extra=extra))
    arguments = {
        "/usr/sbin/nginx": ["-p", folder, "-e", folder + "/log", "-c", file],
        "/usr/sbin/haproxy": ["-db", "-q", "-f", file],
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([program, *arguments[program]], **quiet)
    time.sleep(1)
    try:
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def proxied():
    """Own writes and live commits behind proxies, over a link of 20 ms."""
    sqld = Sqld()
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    names = [name for name, (program, _, _) in FRONTS.items() if os.path.exists(program)]
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(front(name, sqld.port)) for name in names}
        links = {name: Link(port, TRIP).url for name, port in {"direct": sqld.port, **ports}.items()}
        own = {name: [] for name in links}
        for _ in range(ROUNDS):
            for name in shuffled(links):
                # The first writes find out that streams are held back.
                run = child("latencies", links[name], primary=sqld.url, count=40)
                own[name] += run["own"][10:]
        direct = median(own["direct"])
        for name in links:
            time_ = median(own[name])
            late = child("lag", links[name], primary=sqld.url, count=30, warm=3)["late"]
            TABLE.add(
                f"own write, {name}",
                f"{time_ * 1e3:.1f} ms",
                f"direct {direct * 1e3:.1f} ms",
                f"{(time_ - direct) / TRIP:+.2f} round trips",
                f"{'within' if time_ <= 2 * direct + TRIP else 'BEYOND'} 2 x direct + 1 round trip; "
                f"live lag p50 {median(late) * 1e3:.0f} ms, p99 {percentile(late, 0.99) * 1e3:.0f} ms",
            )
    sqld.close()
