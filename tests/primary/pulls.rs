//! What a pull delivers: every state once, also while the primary writes, compacts
//! its log, is restarted or crashes.

use super::*;

#[test]
fn an_empty_primary_has_nothing_to_pull() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    let mut memory = Memory::default();
    for _ in 0..2 {
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!((pulled.end, pulled.head, pulled.frames), (PullEnd::UpToDate, None, 0));
        assert_eq!(memory.calls + memory.commits, 0);
    }
    table(&sqld);
    let pulled = memory.pull(&primary).unwrap();
    assert_eq!(pulled.head, Some(sqld.frame_no()));
    memory.assert_equals(&sqld);
}

#[test]
fn commits_are_followed_one_by_one() {
    let sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    for n in 0..100 {
        sqld.execute(&format!("INSERT INTO t(b) VALUES('row {n}')"));
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!((pulled.end, memory.commits), (PullEnd::UpToDate, 1));
        assert_eq!(pulled.head, Some(sqld.frame_no()));
        assert_eq!(memory.position().and_then(Position::frame_no), Some(FrameNo(sqld.frame_no())));
    }
    memory.assert_equals(&sqld);
    let idle = memory.pull(&primary).unwrap();
    assert_eq!((idle.frames, memory.calls), (0, 0));
    assert!(idle.bytes < 100, "an idle pull costs one small answer, not {} bytes", idle.bytes);
}

#[test]
fn a_hundred_commits_arrive_in_one_pull() {
    let sqld = Sqld::start();
    table(&sqld);
    for n in 0..100 {
        sqld.execute(&format!("INSERT INTO t(b) VALUES('row {n}')"));
    }
    let mut memory = Memory::default();
    let pulled = memory.pull(&primary(&sqld.url())).unwrap();
    assert_eq!(memory.commits, 101);
    assert_eq!(Some(pulled.frames - 1), pulled.head);
    memory.assert_equals(&sqld);
}

#[test]
fn transactions_longer_than_a_batch_arrive_whole() {
    let sqld = Sqld::start();
    table(&sqld);
    sqld.execute(FILL);
    sqld.transaction(&[FILL; 10].join(";"));
    sqld.execute("INSERT INTO t(b) VALUES('last')");
    let mut memory = Memory::default();
    let pulled = memory.pull(&primary(&sqld.url())).unwrap();
    assert!(pulled.frames > 4000, "{pulled:?}");
    // Read side by side, so that only all of it together is a state.
    assert_eq!(memory.commits, 1);
    // Too much for one answer of sqld, so that it is not compared row by row.
    let (_folder, db) = empty_place();
    memory.write_to(&db);
    assert_eq!(scalar(&db, "PRAGMA integrity_check"), "ok");
    let sums = "SELECT count(*) || ' ' || sum(length(b)) || ' ' || max(b) FROM t";
    assert_eq!(scalar(&db, sums), sqld.scalar(sums));
}

/// Long stretches are read in segments side by side, whatever the length of the
/// transactions, and nothing is asked for twice.
#[test]
fn short_and_very_long_transactions_arrive_in_one_pull() {
    let sqld = Sqld::with(&["--max-log-size", "100000"]);
    table(&sqld);
    let rows = |count: u32| {
        sqld.execute(&format!(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {count}) \
             INSERT INTO t(b) SELECT randomblob(4000) FROM c"
        ));
    };
    for _ in 0..12 {
        rows(300);
    }
    rows(9000);
    for _ in 0..12 {
        rows(300);
    }
    let primary = primary(&sqld.url());
    let mut memory = Memory::default();
    let pulled = memory.pull(&primary).unwrap();
    assert!(pulled.frames > 16_000, "{pulled:?}");
    // Frames are not asked for again and again.
    assert!(pulled.bytes < pulled.frames * 4120 * 2, "{pulled:?}");
    let (_folder, db) = empty_place();
    memory.write_to(&db);
    assert_eq!(scalar(&db, "PRAGMA integrity_check"), "ok");
    let sums = "SELECT count(*) || ' ' || sum(length(b)) FROM t";
    assert_eq!(scalar(&db, sums), sqld.scalar(sums));
    assert_eq!(memory.pull(&primary).unwrap().frames, 0);
}

/// In segments that come in any order, the newest image of a page counts: the
/// pages of this table are each written many times, thrown away by VACUUM and
/// used again.
#[test]
fn a_long_catch_up_over_rewritten_pages_is_the_primarys_state() {
    let sqld = Sqld::with(&["--max-log-size", "100000"]);
    table(&sqld);
    sqld.execute(FILL);
    let primary = primary(&sqld.url());
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    for round in 0..60 {
        sqld.execute(&format!("UPDATE t SET b = hex(randomblob(500)) || '{round}'"));
        if round % 20 == 10 {
            sqld.execute("DELETE FROM t WHERE a % 2");
            sqld.execute(FILL);
        }
    }
    sqld.execute("DELETE FROM t WHERE a > 1000");
    sqld.execute("INSERT INTO t(b) VALUES('last')");
    let pulled = memory.pull(&primary).unwrap();
    assert!(pulled.frames > 33_000, "more than a window: {pulled:?}");
    assert_eq!(pulled.head, Some(sqld.frame_no()));
    assert!(memory.commits >= 2, "each window is a state: {}", memory.commits);
    memory.assert_equals(&sqld);
    assert_eq!(memory.pull(&primary).unwrap().frames, 0);
}

#[test]
fn a_compacted_log_is_pulled_through_snapshots() {
    let sqld = Sqld::with(&["--max-log-size=1"]);
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut early = Memory::default();
    early.pull(&primary).unwrap();
    let mut positions = vec![early];
    for n in 0..6 {
        sqld.execute(FILL);
        sqld.execute("DELETE FROM t WHERE a % 3 = 0");
        sqld.execute("UPDATE t SET b = hex(randomblob(700)) WHERE a % 17 = 0");
        if n % 2 == 0 {
            let mut memory = Memory::default();
            memory.pull(&primary).unwrap();
            positions.push(memory);
        }
    }
    positions.push(Memory::default());
    let mut snapshots = 0;
    for memory in &mut positions {
        let pulled = memory.pull(&primary).unwrap();
        snapshots += usize::from(pulled.snapshot);
        assert_eq!(pulled.head, Some(sqld.frame_no()));
        memory.assert_equals(&sqld);
    }
    assert!(snapshots >= 2, "{snapshots} snapshots took part");
}

#[test]
fn pulls_during_writes_and_compaction_all_end_well() {
    let sqld = Sqld::with(&["--max-log-size=1"]);
    table(&sqld);
    let primary = primary(&sqld.url());
    let writer = primary.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            write(&writer, "INSERT INTO t(b) VALUES(hex(randomblob(20000)))").unwrap();
            write(&writer, "DELETE FROM t WHERE a % 7 = 0").unwrap();
        }
    });
    let mut follower = Memory::default();
    let until = Instant::now() + Duration::from_secs(5);
    let mut snapshots = 0;
    while Instant::now() < until {
        follower.pull(&primary).unwrap();
        let mut fresh = Memory::default();
        snapshots += usize::from(fresh.pull(&primary).unwrap().snapshot);
    }
    stop.store(true, Ordering::SeqCst);
    thread.join().unwrap();
    assert!(snapshots > 0);
    follower.pull(&primary).unwrap();
    follower.assert_equals(&sqld);
}

#[test]
fn a_restarted_primary_goes_on_where_it_was() {
    let mut sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    for n in 0..3 {
        sqld.restart();
        assert_eq!(memory.pull(&primary).unwrap().frames, 0);
        sqld.restart();
        write(&primary, &format!("INSERT INTO t(b) VALUES({n})")).unwrap();
        let pulled = memory.pull(&primary).unwrap();
        assert!(pulled.frames > 0);
        memory.assert_equals(&sqld);
    }
}

#[test]
fn a_primary_that_is_just_starting_is_waited_for() {
    let mut sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    sqld.stop();
    let other = primary.clone();
    let thread = std::thread::spawn(move || write(&other, "INSERT INTO t(b) VALUES(1)"));
    std::thread::sleep(Duration::from_millis(300));
    sqld.resume();
    thread.join().unwrap().unwrap();
    assert_eq!(sqld.scalar("SELECT count(*) FROM t"), "1");
}

#[test]
fn a_primary_that_crashed_has_another_history() {
    let mut sqld = Sqld::start();
    let primary = primary(&sqld.url());
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary).unwrap();
    sqld.kill9();
    sqld.resume();
    for _ in 0..2 {
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!(pulled.end, PullEnd::Diverged { empty: false });
        assert_eq!(pulled.frames, 0);
    }
    let mut again = Memory::default();
    again.pull(&primary).unwrap();
    again.assert_equals(&sqld);
    assert_ne!(again.position().unwrap().history, memory.position().unwrap().history);

    sqld.kill9();
    sqld.wipe();
    sqld.resume();
    let pulled = again.pull(&primary).unwrap();
    assert_eq!(pulled.end, PullEnd::Diverged { empty: true });
}

#[test]
fn a_position_beyond_the_head_is_another_history() {
    let sqld = Sqld::start();
    table(&sqld);
    let mut memory = Memory::default();
    memory.pull(&primary(&sqld.url())).unwrap();
    if let Some(commit) = &mut memory.committed {
        let beyond = commit.position.frame_no().unwrap().next();
        commit.position = Position::of_frame(commit.position.history, beyond);
    }
    // With a new session, and with one that is known already.
    let primary = primary(&sqld.url());
    for _ in 0..2 {
        let pulled = memory.pull(&primary).unwrap();
        assert_eq!(pulled.end, PullEnd::Diverged { empty: false });
    }
}

#[test]
fn an_error_of_the_sink_ends_the_pull_at_once() {
    let sqld = Sqld::start();
    table(&sqld);
    sqld.execute(FILL);
    let mut memory = Memory { fail_at_page: Some(3), ..Memory::default() };
    let error = memory.pull(&primary(&sqld.url())).unwrap_err();
    assert_eq!(error, Error::new(Kind::Unavailable, "the disk is full"));
    assert_eq!(memory.calls, 3);
}

#[test]
fn two_threads_pull_at_once() {
    let sqld = Sqld::start();
    table(&sqld);
    sqld.execute(FILL);
    let primary = primary(&sqld.url());
    let pulls: Vec<_> = (0..4)
        .map(|_| {
            let primary = primary.clone();
            std::thread::spawn(move || {
                let mut memory = Memory::default();
                memory.pull(&primary).unwrap();
                memory
            })
        })
        .collect();
    for pull in pulls {
        pull.join().unwrap().assert_equals(&sqld);
    }
}
