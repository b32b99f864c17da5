//! Runs the targets of `tests/fuzz/` over their corpus and over many mutations
//! of it, without cargo-fuzz: seeded, the seed is printed. `tests/fuzz/` is a
//! crate of its own for `cargo fuzz run <target>`.

#[path = "common/random.rs"]
mod random;
#[path = "fuzz/targets.rs"]
mod targets;

use std::panic::catch_unwind;
use std::path::Path;

use random::Random;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

/// Numbers that decoders stumble over.
const ODD: [u64; 8] = [0, 1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(7) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => {
                let odd = ODD[random.below(ODD.len())].to_le_bytes();
                let width = [1, 4, 8][random.below(3)];
                let end = (at + width).min(bytes.len());
                bytes[at..end].copy_from_slice(&odd[..end - at]);
            }
            4 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + random.below(200)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len());
                let piece = other[from..(from + random.below(100)).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn run(rounds: usize, seed: u64) {
    println!("fuzz: seed {seed}, {rounds} rounds for each target");
    let mut random = Random(seed | 1);
    for (name, target) in targets::ALL {
        let corpus = corpus(name);
        for bytes in &corpus {
            target(bytes);
        }
        for round in 0..rounds {
            let mut bytes = corpus[random.below(corpus.len())].clone();
            mutate(&mut bytes, &corpus, &mut random);
            if catch_unwind(|| target(&bytes)).is_err() {
                let to = std::env::temp_dir().join(format!("fuzz-{name}-{seed}-{round}"));
                std::fs::write(&to, &bytes).expect("a writable folder");
                panic!("{name}, seed {seed}, round {round}: see {}", to.display());
            }
        }
    }
}

#[test]
fn decoders_take_their_corpus_and_mutations_of_it() {
    run(3000, u64::from(std::process::id()) << 20);
}

#[test]
#[ignore = "make soak runs it"]
fn decoders_take_millions_of_mutations() {
    run(500_000, u64::from(std::process::id()) << 20);
}
