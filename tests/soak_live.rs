//! The long run of live replicas, by `make soak MINUTES=n`: ten processes
//! follow one primary that is written to all the time, restarted and killed.

mod common;

use std::time::{Duration, Instant};

use common::*;

const REPLICAS: usize = 10;
const COMMITS_A_SECOND: u32 = 200;

/// What a process holds: threads, descriptors, resident memory in KB.
#[derive(Debug)]
struct Held {
    threads: u64,
    descriptors: usize,
    memory: u64,
}

fn held(pid: u32) -> Held {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Held {
        threads: number("Threads:"),
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        memory: number("VmRSS:"),
    }
}

/// SplitMix64, so that a seed tells the whole run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

#[test]
#[ignore = "long: make soak"]
fn ten_live_replicas_stay_equal_while_the_primary_comes_and_goes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    let duration = Duration::from_secs_f64(number("MINUTES").unwrap_or(1.0) * 60.0);
    let seed = number("SEED").unwrap_or(1.0) as u64;
    println!("seed {seed}");
    let mut dice = Dice(seed);

    let mut sqld = Sqld::start();
    sqld.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    let mut replicas: Vec<(TempDir, std::path::PathBuf, Shell)> = (0..REPLICAS)
        .map(|_| {
            let (folder, db) = empty_place();
            let mut shell = Shell::loaded(&db);
            let url = sqld.url();
            shell.json(&format!("SELECT replica_attach('{url}', NULL, '{{\"live\": true}}')"));
            (folder, db, shell)
        })
        .collect();

    let (started, mut commits, mut restarts, mut kills) = (Instant::now(), 0, 0, 0);
    let mut early = Vec::new();
    let mut next_event = Duration::from_secs(5);
    while started.elapsed() < duration {
        let second = Instant::now();
        for _ in 0..COMMITS_A_SECOND / 10 {
            let size = dice.below(3000);
            sqld.execute(&format!("INSERT INTO t(x) VALUES (randomblob({size}))"));
            commits += 1;
        }
        if commits % 2000 == 0 {
            sqld.execute("DELETE FROM t WHERE id % 3 = 0");
        }
        if started.elapsed() > next_event {
            match dice.below(3) {
                0 => {
                    sqld.kill9();
                    kills += 1;
                }
                _ => {
                    sqld.stop();
                    restarts += 1;
                }
            }
            std::thread::sleep(Duration::from_millis(dice.below(2000)));
            sqld.resume();
            next_event = started.elapsed() + Duration::from_secs(3 + dice.below(12));
        }
        if early.is_empty() && started.elapsed() > duration / 3 {
            early = replicas.iter().map(|(_, _, shell)| held(shell.pid())).collect();
        }
        std::thread::sleep(Duration::from_millis(100).saturating_sub(second.elapsed()));
    }

    let rows = sqld.scalar("SELECT count(*) FROM t");
    for (i, (_, db, shell)) in replicas.iter_mut().enumerate() {
        let deadline = Instant::now() + Duration::from_secs(60);
        while shell.run("SELECT count(*) FROM t") != rows {
            let status = shell.run("SELECT state, frame_no, last_error FROM replica_status");
            assert!(Instant::now() < deadline, "replica {i} does not catch up: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_replica_equals_primary(db, &sqld);
        let (before, after) = (&early[i], held(shell.pid()));
        assert_eq!(after.threads, before.threads, "replica {i}");
        assert!(after.descriptors <= before.descriptors + 2, "replica {i}: {before:?} {after:?}");
        assert!(after.memory < before.memory + 20_000, "replica {i}: {before:?} {after:?}");
    }
    println!(
        "{REPLICAS} live replicas equal after {:.0} s: {commits} commits, {restarts} restarts, \
         {kills} crashes of the primary; memory of a replica {} KB, then {} KB",
        started.elapsed().as_secs_f64(),
        early[0].memory,
        held(replicas[0].2.pid()).memory,
    );
}
