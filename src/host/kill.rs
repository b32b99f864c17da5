//! Ends this process as `kill -9` does, or stops it. Only for `fault-points`
//! builds.

use std::ffi::c_int;

unsafe extern "C" {
    fn getpid() -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

const SIGKILL: c_int = 9;

/// As Linux numbers it.
const SIGSTOP: c_int = 19;

/// No destructor runs and no buffer is flushed.
pub fn kill_this_process() -> ! {
    // SAFETY: two functions of the C library that take plain numbers.
    unsafe { kill(getpid(), SIGKILL) };
    loop {
        std::thread::yield_now();
    }
}

/// All threads stand still until somebody sends `SIGCONT`.
pub fn stop_this_process() {
    // SAFETY: as above.
    unsafe { kill(getpid(), SIGSTOP) };
}
