//! The tokens of JSON (RFC 8259), with the offset of everything that is wrong.

use std::borrow::Cow;

use crate::r4::failure::{Failure, MAX_DEPTH, excerpt};

/// A position in a JSON text.
#[derive(Clone)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next byte that is no white space, not consumed; 0 at the end.
    pub fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(0)
    }

    pub fn fail<T>(&self, message: impl Into<String>) -> Result<T, Failure> {
        Err(Failure::new(self.at, message))
    }

    /// Fails saying what stands here instead of what was expected.
    pub fn unexpected<T>(&mut self, expected: &str) -> Result<T, Failure> {
        let found = match self.peek() {
            b'{' => "an object".to_owned(),
            b'[' => "a list".to_owned(),
            b'"' => "a string".to_owned(),
            b't' | b'f' => "a boolean".to_owned(),
            b'n' => "null".to_owned(),
            b'-' | b'0'..=b'9' => "a number".to_owned(),
            _ => match self.text[self.at..].chars().next() {
                Some(character) => excerpt(character.encode_utf8(&mut [0; 4])),
                None => "the end of the document".to_owned(),
            },
        };
        self.fail(format!("expected {expected}, found {found}"))
    }

    /// Consumes this byte if it comes next.
    pub fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    pub fn expect(&mut self, byte: u8, expected: &str) -> Result<(), Failure> {
        if self.take(byte) {
            Ok(())
        } else {
            self.unexpected(expected)
        }
    }

    /// Enters an object or list.
    pub fn open(&mut self, byte: u8, expected: &str) -> Result<(), Failure> {
        self.expect(byte, expected)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    /// After a member or entry: whether another follows. Leaves the object or list otherwise.
    pub fn goes_on(&mut self, close: u8, expected: &str) -> Result<bool, Failure> {
        if self.take(b',') {
            return Ok(true);
        }
        self.expect(close, expected)?;
        self.depth -= 1;
        Ok(false)
    }

    /// Leaves an object or list if it ends here.
    pub fn close(&mut self, close: u8) -> bool {
        let is_closed = self.take(close);
        self.depth -= usize::from(is_closed);
        is_closed
    }

    /// A name and its colon.
    pub fn name(&mut self) -> Result<Cow<'a, str>, Failure> {
        let name = self.string("a name in double quotes")?;
        self.expect(b':', "':' after a name")?;
        Ok(name)
    }

    pub fn literal(&mut self, word: &str) -> bool {
        self.peek();
        let is_next = self.text[self.at..].starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// A number as it is written.
    pub fn number(&mut self) -> Result<&'a str, Failure> {
        if !matches!(self.peek(), b'-' | b'0'..=b'9') {
            return self.unexpected("a number");
        }
        let rest = &self.text[self.at..];
        let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(|b| is_part(b)).count();
        self.at += length;
        Ok(&rest[..length])
    }

    pub fn string(&mut self, expected: &str) -> Result<Cow<'a, str>, Failure> {
        self.expect(b'"', expected)?;
        let (start, bytes) = (self.at, self.text.as_bytes());
        loop {
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0..=0x1f) => return self.fail("a control character in a string"),
                Some(_) => self.at += 1,
                None => return self.fail("a string without an end"),
            }
        }
    }

    /// The rest of a string from its first backslash.
    fn escaped(&mut self, start: usize) -> Result<String, Failure> {
        let bytes = self.text.as_bytes();
        let mut value = self.text[start..self.at].to_owned();
        loop {
            let plain = self.at;
            while bytes
                .get(self.at)
                .is_some_and(|b| *b >= b' ' && *b != b'"' && *b != b'\\')
            {
                self.at += 1;
            }
            value.push_str(&self.text[plain..self.at]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                Some(_) => return self.fail("a control character in a string"),
                None => return self.fail("a string without an end"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Failure> {
        let kind = self.text.as_bytes().get(self.at + 1).copied();
        let plain = match kind {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.fail("an unknown escape in a string"),
        };
        self.at += 2;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, Failure> {
        let hex = |at: usize| {
            let digits = self.text.get(at..at + 4)?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
        };
        let first = hex(self.at + 2);
        let is_pair = first.is_some_and(|code| (0xd800..0xdc00).contains(&code))
            && self.text.get(self.at + 6..self.at + 8) == Some("\\u");
        let second = if is_pair { hex(self.at + 8) } else { None };
        let code = match (first, second) {
            (Some(high), Some(low @ 0xdc00..=0xdfff)) => {
                Some(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            }
            (code, _) => code,
        };
        let Some(character) = code.and_then(char::from_u32) else {
            return self.fail("an escape that is no Unicode character");
        };
        self.at += if is_pair { 12 } else { 6 };
        Ok(character)
    }

    /// Consumes any value without keeping it.
    pub fn skip(&mut self) -> Result<(), Failure> {
        match self.peek() {
            b'{' => {
                self.open(b'{', "an object")?;
                if self.close(b'}') {
                    return Ok(());
                }
                loop {
                    self.name()?;
                    self.skip()?;
                    if !self.goes_on(b'}', "',' or '}'")? {
                        return Ok(());
                    }
                }
            }
            b'[' => {
                self.open(b'[', "a list")?;
                if self.close(b']') {
                    return Ok(());
                }
                loop {
                    self.skip()?;
                    if !self.goes_on(b']', "',' or ']'")? {
                        return Ok(());
                    }
                }
            }
            b'"' => self.string("a string").map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ if ["true", "false", "null"]
                .iter()
                .any(|word| self.literal(word)) =>
            {
                Ok(())
            }
            _ => self.unexpected("a value"),
        }
    }
}
