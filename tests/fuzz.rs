//! The entry points of `fuzz/` without a fuzzer: every file of the corpus, and mutations of them
//! for `DSF_FUZZ_SECONDS` (2 unless set). A panic names the seed; `fuzz/corpus` keeps what was found.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its stage fails by panicking"
)]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Longer inputs only make it slow.
const LONGEST: usize = 20_000;

#[test]
fn no_body_of_json_makes_the_reader_panic_or_changes_on_its_way() {
    run("json", entry::json);
}

#[test]
fn no_body_of_xml_makes_the_reader_panic_or_changes_on_its_way() {
    run("xml", entry::xml);
}

#[test]
fn no_search_makes_its_reader_panic() {
    run("search", entry::search);
}

fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut corpus: Vec<Vec<u8>> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    corpus.sort();
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|bytes| target(bytes));
    let seconds = std::env::var("DSF_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(2));
    let (mut seed, mut inputs) = (rand::random::<u64>(), 0_u64);
    while Instant::now() < end {
        seed = seed.wrapping_add(1);
        let input = mutated(&corpus, &mut StdRng::seed_from_u64(seed));
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(
            outcome.is_ok(),
            "seed {seed}: {:?}",
            String::from_utf8_lossy(&input)
        );
        inputs += 1;
    }
    println!("{name}: {inputs} inputs");
}

/// A file of the corpus with a few bytes changed, removed, doubled, or taken from another.
fn mutated(corpus: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    const WORDS: [&[u8]; 22] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"<",
        b">",
        b"/>",
        b"&",
        b"&#x0;",
        b"&amp;",
        b"<!--",
        b"]]>",
        b"<![CDATA[",
        b"\\u0000",
        b"\\ud800",
        b"1e999",
        b"%00",
        b"\xff",
        b"\r\n",
    ];
    let mut input = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=input.len());
        let end = (at + rng.random_range(0..12)).min(input.len());
        let piece: Vec<u8> = match rng.random_range(0..5) {
            0 => vec![rng.random()],
            1 => WORDS[rng.random_range(0..WORDS.len())].to_vec(),
            2 => input[at..end].repeat(2),
            3 => Vec::new(),
            _ => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(0..60)).min(other.len());
                other[from..to].to_vec()
            }
        };
        let replaced = if rng.random() { at..end } else { at..at };
        input.splice(replaced, piece);
    }
    input.truncate(LONGEST);
    input
}
