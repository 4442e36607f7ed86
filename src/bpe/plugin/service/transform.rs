//! Compression and encryption as streams: bytes go in by pieces and come out by pieces.

use std::io::{Cursor, Read, Write};

use bzip2::Compression as BzipLevel;
use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzReader, XzWriter};

use super::crypto::{Kem, Sealing};
use super::question::TransformQuestion;
use super::stream::PIECE;

/// What is read at its end only: what was compressed (so that a small piece cannot become a large
/// one at once), and what was encrypted (nobody sees it before its tag is checked).
const LARGEST_COLLECTED: usize = 256 * 1024 * 1024;

/// A transformation under way.
pub(super) struct Transform {
    sink: Sink,
    /// What came out and was not read yet.
    output: Output,
}

enum Sink {
    Gzip(GzEncoder<Vec<u8>>),
    Bzip2(BzEncoder<Vec<u8>>),
    Lzma2(Box<XzWriter<Vec<u8>>>),
    Sealing(Box<Sealing>),
    /// Kept until all is there.
    Collect(Vec<u8>, Then),
    Finished,
}

#[derive(Clone)]
enum Then {
    FromGzip,
    FromBzip2,
    FromLzma2,
    Open(Kem),
}

enum Output {
    Bytes(Cursor<Vec<u8>>),
    /// With the name of what it reads.
    Reader(Box<dyn Read + Send>, &'static str),
}

/// The next piece of what came out, and whether there may be more at once.
type Piece = (Vec<u8>, bool);

impl Transform {
    /// # Errors
    /// When the question is not one of those that are known, or its key cannot be used.
    pub(super) fn of(question: &TransformQuestion) -> Result<Self, String> {
        let key = question.key.as_deref().unwrap_or_default();
        let kinds = [
            &question.compress,
            &question.decompress,
            &question.encrypt,
            &question.decrypt,
        ];
        let sink = match kinds.map(Option::as_deref) {
            [Some(kind), None, None, None] => compressing(kind, question.level)?,
            [None, Some(kind), None, None] => Sink::Collect(Vec::new(), decompressing(kind)?),
            [None, None, Some(kind), None] => {
                Sink::Sealing(Box::new(Kem::for_public(kind, key)?.seal()?))
            }
            [None, None, None, Some(kind)] => {
                let kem = Kem::for_private(kind, key, question.password.as_deref())?;
                Sink::Collect(Vec::new(), Then::Open(kem))
            }
            _ => {
                return Err(
                    "a transformation is one of compress, decompress, encrypt, decrypt".to_owned(),
                );
            }
        };
        Ok(Self {
            sink,
            output: Output::Bytes(Cursor::default()),
        })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<Piece, String> {
        let words = |error: std::io::Error| error.to_string();
        let made = match &mut self.sink {
            Sink::Gzip(encoder) => {
                encoder.write_all(data).map_err(words)?;
                std::mem::take(encoder.get_mut())
            }
            Sink::Bzip2(encoder) => {
                encoder.write_all(data).map_err(words)?;
                std::mem::take(encoder.get_mut())
            }
            Sink::Lzma2(encoder) => {
                encoder.write_all(data).map_err(words)?;
                std::mem::take(encoder.inner_mut())
            }
            Sink::Sealing(sealing) => sealing.update(data)?,
            Sink::Collect(collected, _) => {
                if collected.len() + data.len() > LARGEST_COLLECTED {
                    return Err(format!("more than {} MiB", LARGEST_COLLECTED >> 20));
                }
                collected.extend_from_slice(data);
                Vec::new()
            }
            Sink::Finished => return Err("the stream is finished".to_owned()),
        };
        self.hand_out(made)
    }

    pub(super) fn finish(&mut self) -> Result<Piece, String> {
        let words = |error: std::io::Error| error.to_string();
        let made = match std::mem::replace(&mut self.sink, Sink::Finished) {
            Sink::Gzip(encoder) => encoder.finish().map_err(words)?,
            Sink::Bzip2(encoder) => encoder.finish().map_err(words)?,
            Sink::Lzma2(encoder) => encoder.finish().map_err(words)?,
            Sink::Sealing(sealing) => sealing.finish()?,
            Sink::Collect(collected, then) => return self.open(collected, then),
            Sink::Finished => return Err("the stream is finished".to_owned()),
        };
        self.hand_out(made)
    }

    fn open(&mut self, collected: Vec<u8>, then: Then) -> Result<Piece, String> {
        let input = Cursor::new(collected);
        self.output = match then {
            Then::FromGzip => Output::Reader(Box::new(MultiGzDecoder::new(input)), "gzip"),
            Then::FromBzip2 => Output::Reader(Box::new(MultiBzDecoder::new(input)), "bzip2"),
            Then::FromLzma2 => Output::Reader(Box::new(XzReader::new(input, true)), "lzma2"),
            Then::Open(kem) => Output::Bytes(Cursor::new(kem.open(input.get_ref())?)),
        };
        self.read()
    }

    /// Adds to what is not read yet, and reads.
    fn hand_out(&mut self, made: Vec<u8>) -> Result<Piece, String> {
        if let Output::Bytes(waiting) = &mut self.output {
            let read = usize::try_from(waiting.position()).unwrap_or(usize::MAX);
            if read >= waiting.get_ref().len() {
                *waiting = Cursor::new(made);
            } else {
                waiting.get_mut().extend(made);
            }
        }
        self.read()
    }

    pub(super) fn read(&mut self) -> Result<Piece, String> {
        let (reader, kind): (&mut dyn Read, _) = match &mut self.output {
            Output::Bytes(bytes) => (bytes, "plain"),
            Output::Reader(reader, kind) => (reader, *kind),
        };
        let mut piece = Vec::new();
        let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
        reader
            .take(limit)
            .read_to_end(&mut piece)
            .map_err(|error| format!("this is not {kind} content, or it is damaged: {error}"))?;
        let more = piece.len() == PIECE;
        Ok((piece, more))
    }
}

fn compressing(kind: &str, level: Option<u32>) -> Result<Sink, String> {
    let between = |usual: u32, least: u32| match level.unwrap_or(usual) {
        level if (least..=9).contains(&level) => Ok(level),
        level => Err(format!("the level {level} is not from {least} to 9")),
    };
    Ok(match kind {
        "gzip" => Sink::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
        "bzip2" => {
            let level = BzipLevel::new(between(9, 1)?);
            Sink::Bzip2(BzEncoder::new(Vec::new(), level))
        }
        "lzma2" => {
            let options = XzOptions::with_preset(between(6, 0)?);
            let writer = XzWriter::new(Vec::new(), options).map_err(|error| error.to_string())?;
            Sink::Lzma2(Box::new(writer))
        }
        _ => return Err(format!("{kind} is not one of gzip, bzip2, lzma2")),
    })
}

fn decompressing(kind: &str) -> Result<Then, String> {
    Ok(match kind {
        "gzip" => Then::FromGzip,
        "bzip2" => Then::FromBzip2,
        "lzma2" => Then::FromLzma2,
        _ => return Err(format!("{kind} is not one of gzip, bzip2, lzma2")),
    })
}
