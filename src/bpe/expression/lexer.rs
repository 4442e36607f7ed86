//! Characters → tokens of the expression language.

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Integer(i64),
    Float(f64),
    Text(String),
    Name(String),
    /// Operators and punctuation; word operators are given as their symbols.
    Symbol(&'static str),
    /// The closing brace of the expression.
    End,
}

const SYMBOLS: [&str; 22] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", "[",
    "]", "(", ")", ",",
];

const WORDS: [(&str, &str); 12] = [
    ("and", "&&"),
    ("or", "||"),
    ("not", "!"),
    ("eq", "=="),
    ("ne", "!="),
    ("lt", "<"),
    ("gt", ">"),
    ("le", "<="),
    ("ge", ">="),
    ("div", "/"),
    ("mod", "%"),
    ("empty", "empty"),
];

pub(super) struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn next(&mut self) -> Result<Token, String> {
        let rest = self.source[self.at..].trim_start();
        self.at = self.source.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            return Err("the closing '}' is missing".to_owned());
        };
        match first {
            '}' => {
                self.at += 1;
                Ok(Token::End)
            }
            '\'' | '"' => self.text(first),
            '0'..='9' => self.number(),
            _ if first.is_alphabetic() || first == '_' || first == '$' => Ok(self.word()),
            _ => {
                let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
                let symbol = symbol.ok_or_else(|| format!("'{first}' is not expected here"))?;
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<Token, String> {
        let mut text = String::new();
        let mut chars = self.source[self.at + 1..].char_indices();
        while let Some((offset, char)) = chars.next() {
            if char == quote {
                self.at += offset + 2;
                return Ok(Token::Text(text));
            }
            match char {
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                _ => text.push(char),
            }
        }
        Err(format!("the closing {quote} is missing"))
    }

    fn number(&mut self) -> Result<Token, String> {
        let rest = &self.source[self.at..];
        let mut length = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let mut float = false;
        let fraction = &rest[length..];
        if fraction.starts_with('.') && fraction[1..].starts_with(|c: char| c.is_ascii_digit()) {
            float = true;
            let digits = fraction[1..].find(|c: char| !c.is_ascii_digit());
            length += 1 + digits.unwrap_or(fraction.len() - 1);
        }
        let text = &rest[..length];
        self.at += length;
        let invalid = || format!("{text} is out of range");
        if float {
            text.parse().map(Token::Float).map_err(|_| invalid())
        } else {
            text.parse().map(Token::Integer).map_err(|_| invalid())
        }
    }

    fn word(&mut self) -> Token {
        let rest = &self.source[self.at..];
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += length;
        let word = &rest[..length];
        match WORDS.into_iter().find(|(name, _)| *name == word) {
            Some((_, symbol)) => Token::Symbol(symbol),
            None => Token::Name(word.to_owned()),
        }
    }
}
