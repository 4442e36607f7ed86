//! The words of an expression.

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A name, perhaps in backticks, which make a keyword a name.
    Name(String, bool),
    Text(String),
    Integer(i64),
    Decimal(f64),
    /// `%name`
    Variable(String),
    /// `$this`, `$index`
    Special(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 24] = [
    "<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "=", "~", "<", ">", "+", "-",
    "*", "/", "|", "&", ";", ":",
];

pub fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut lexer = Lexer { rest: text };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<Token>, String> {
        self.blanks();
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '\'' | '"' => Token::Text(self.quoted(first)?),
            '`' => Token::Name(self.quoted('`')?, true),
            '%' => {
                self.rest = &self.rest[1..];
                let name = match self.rest.chars().next() {
                    Some(quote @ ('\'' | '"' | '`')) => self.quoted(quote)?,
                    _ => self.word(),
                };
                Token::Variable(name)
            }
            '$' => {
                self.rest = &self.rest[1..];
                Token::Special(self.word())
            }
            '0'..='9' => self.number()?,
            letter if letter.is_alphabetic() || letter == '_' => Token::Name(self.word(), false),
            _ => {
                let symbol = SYMBOLS
                    .iter()
                    .find(|symbol| self.rest.starts_with(**symbol));
                let symbol = symbol.ok_or_else(|| format!("unexpected '{first}'"))?;
                self.rest = &self.rest[symbol.len()..];
                Token::Symbol(symbol)
            }
        };
        Ok(Some(token))
    }

    fn blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let end = match () {
                () if self.rest.starts_with("//") => self.rest.find('\n'),
                () if self.rest.starts_with("/*") => self.rest.find("*/").map(|at| at + 1),
                () => return,
            };
            self.rest = end.map_or("", |end| &self.rest[end + 1..]);
        }
    }

    fn word(&mut self) -> String {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        let plain = |letter: char| letter.is_alphanumeric() || letter == '_';
        // Names of variables may have hyphens; elsewhere they are an operator.
        let end = self
            .rest
            .find(|letter| !plain(letter))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let is_variable = matches!(word, "vs" | "ext") && rest.starts_with('-');
        if is_variable {
            let end = self
                .rest
                .find(|letter| !is_part(letter))
                .unwrap_or(self.rest.len());
            let word = self.rest[..end].to_owned();
            self.rest = &self.rest[end..];
            return word;
        }
        self.rest = rest;
        word.to_owned()
    }

    fn number(&mut self) -> Result<Token, String> {
        let digits = |text: &str| {
            text.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len())
        };
        let whole = digits(self.rest);
        let behind = &self.rest[whole..];
        let is_decimal =
            behind.starts_with('.') && behind[1..].starts_with(|c: char| c.is_ascii_digit());
        let end = if is_decimal {
            whole + 1 + digits(&behind[1..])
        } else {
            whole
        };
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let bad = || format!("the number {text} is too large");
        if is_decimal {
            return text.parse().map(Token::Decimal).map_err(|_| bad());
        }
        text.parse().map(Token::Integer).map_err(|_| bad())
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                self.rest = &self.rest[at + 1..];
                return Ok(text);
            }
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            match letters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'f')) => text.push('\u{c}'),
                Some((_, 'u')) => {
                    let hex: String = letters.by_ref().take(4).map(|(_, letter)| letter).collect();
                    let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                    text.push(code.ok_or_else(|| format!("bad escape \\u{hex}"))?);
                }
                Some((_, other @ ('\\' | '/' | '\'' | '"' | '`'))) => text.push(other),
                // As HL7's engine: an unknown escape is what it says, for patterns.
                Some((_, other)) => text.extend(['\\', other]),
                None => break,
            }
        }
        Err(format!("{quote} is not closed"))
    }
}
