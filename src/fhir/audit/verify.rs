//! Is the chain whole? Every block in turn, then its two ends.

use jiff::Timestamp;

use super::Record;
use crate::store::fhir::audit::{Block, Link, beginning};

/// Reads the blocks of a chain from first to last.
#[derive(Debug, Default)]
pub struct Verifier {
    first: Option<(i64, Vec<u8>)>,
    last: Option<Link>,
    span: Option<(Timestamp, Timestamp)>,
    records: usize,
    /// What records say was removed when its time was over.
    pruned: Vec<Link>,
    /// Ends that were noted earlier and are still to be found.
    noted: Vec<Link>,
    problems: Vec<String>,
}

/// What there is, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub first: Option<i64>,
    pub head: Option<Link>,
    pub span: Option<(Timestamp, Timestamp)>,
    pub records: usize,
    /// A sentence each; none if the chain is whole.
    pub problems: Vec<String>,
}

impl Verifier {
    /// `noted` are ends of the chain that were seen at earlier times: they must still be in it.
    #[must_use]
    pub fn new(noted: Vec<Link>) -> Self {
        Self {
            noted,
            ..Self::default()
        }
    }

    /// The next block; they come in the order of their numbers.
    pub fn take(&mut self, block: &Block) {
        let number = block.number;
        match &self.last {
            None => self.first = Some((number, block.previous.clone())),
            Some(last) if last.number + 1 != number => {
                let missing = match (last.number + 1, number - 1) {
                    (one, other) if one == other => format!("block {one} is"),
                    (from, to) => format!("blocks {from} to {to} are"),
                };
                self.problems.push(format!("{missing} missing"));
            }
            Some(last) if last.digest != block.previous => {
                let text = format!("block {number} does not follow block {}", last.number);
                self.problems.push(text);
            }
            Some(_) => {}
        }
        if block.digest != block.expected() {
            let text = format!("block {number} of {} was changed", block.at);
            self.problems.push(text);
        }
        self.look_inside(block);
        self.noted.retain(|noted| {
            let is_here = noted.number == number;
            if is_here && noted.digest != block.digest {
                let text = format!("block {number} is not the one that was noted earlier");
                self.problems.push(text);
            }
            !is_here
        });
        self.last = Some(Link {
            number,
            digest: block.digest.clone(),
        });
    }

    fn look_inside(&mut self, block: &Block) {
        let lines: Vec<&str> = block.records.lines().collect();
        self.records += lines.len();
        if usize::try_from(block.count) != Ok(lines.len()) {
            let (number, count) = (block.number, block.count);
            let text = format!("block {number} holds {} of {count} records", lines.len());
            self.problems.push(text);
        }
        for line in lines {
            match serde_json::from_str::<Record>(line) {
                Ok(record) => self.pruned.extend(removed(&record)),
                Err(_) => {
                    let text = format!("block {} holds what is no record", block.number);
                    self.problems.push(text);
                }
            }
        }
        let (from, _) = self.span.unwrap_or((block.at, block.at));
        self.span = Some((from, block.at));
    }

    /// The report; `head` is the end of the chain as the store has it apart from the blocks.
    #[must_use]
    pub fn finish(mut self, head: Option<Link>) -> Report {
        match &self.first {
            Some((1, previous)) if *previous != beginning() => {
                let text = "block 1 is not the beginning of the trail";
                self.problems.push(text.to_owned());
            }
            Some((number, previous)) if *number > 1 => {
                let through = number - 1;
                let is_told = |link: &Link| link.number == through && link.digest == *previous;
                if !self.pruned.iter().any(is_told) {
                    self.problems.push(format!(
                        "blocks 1 to {through} are missing, and no record says they were removed in time"
                    ));
                }
            }
            _ => {}
        }
        let end = self.last.clone().unwrap_or(Link {
            number: 0,
            digest: beginning().to_vec(),
        });
        if head.as_ref() != Some(&end) {
            let told = head.map_or(0, |head| head.number);
            self.problems.push(format!(
                "the trail should end with block {told}, but ends with block {}",
                end.number
            ));
        }
        let first = self.first.map(|(number, _)| number);
        for noted in &self.noted {
            // What was removed in time cannot be compared any more.
            if first.is_none_or(|first| noted.number >= first) {
                let text = format!(
                    "block {}, which was noted earlier, is missing",
                    noted.number
                );
                self.problems.push(text);
            }
        }
        Report {
            first,
            head: self.last,
            span: self.span,
            records: self.records,
            problems: self.problems,
        }
    }
}

fn removed(record: &Record) -> Option<Link> {
    let (number, digest) = record.through.zip(record.digest.as_deref())?;
    let digest = unhex(digest).filter(|_| record.did == "prune")?;
    Some(Link { number, digest })
}

/// Bytes of hexadecimal digits.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// Two hexadecimal digits for each byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
