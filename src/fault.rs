//! Named places where a test makes the process die, as if by `kill -9` at that
//! very instruction: at every step that changes the disk or the shared memory.
//!
//! Only with the cargo feature `fault-points`; without it, `point` is nothing.
//! `REPLICA_FAULT=name:3` dies when the place called `name` is passed for the
//! third time, `REPLICA_FAULT=*:70` at the seventieth passage of any of them.
//! `REPLICA_FAULT=panic name:3` panics there instead, `REPLICA_FAULT=stop name:3`
//! waits there for a `SIGCONT`.
//! `REPLICA_FAULT_TRACE=path` appends the names to a file as they are passed.

/// A place to die at.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn point(_name: &str) {}

/// A place to die at.
#[cfg(feature = "fault-points")]
pub fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let armed = std::env::var("REPLICA_FAULT").ok()?;
        let (name, count) = armed.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    static PASSED: AtomicU32 = AtomicU32::new(0);

    static TRACE: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("REPLICA_FAULT_TRACE").ok());

    if let Some(path) = &*TRACE {
        use std::io::Write;
        let file = std::fs::File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
    }
    if let Some((armed, count)) = &*ARMED {
        let (panics, stops) = (armed.strip_prefix("panic "), armed.strip_prefix("stop "));
        let here = [Some(&**armed), panics, stops].contains(&Some(name)) || armed == "*";
        if here && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *count {
            assert!(panics.is_none(), "armed at {name}");
            match stops {
                Some(_) => crate::host::stop_this_process(),
                None => crate::host::kill_this_process(),
            }
        }
    }
}
