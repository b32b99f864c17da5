//! Other processes.

/// Whether there may be a process of this number. True where that cannot be
/// told.
#[cfg(unix)]
pub fn may_be_running(process: u32) -> bool {
    let Ok(process) = libc::pid_t::try_from(process) else { return false };
    // SAFETY: signal 0 is sent to nobody: it asks whether it could be.
    let answer = unsafe { libc::kill(process, 0) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(not(unix))]
pub fn may_be_running(_: u32) -> bool {
    true
}
