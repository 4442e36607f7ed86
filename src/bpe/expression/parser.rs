//! Tokens → syntax tree, by operator precedence.

use super::lexer::{Lexer, Token};
use super::member;
use crate::bpe::model::Variable;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Value(Variable),
    Name(String),
    Not(Box<Node>),
    Negate(Box<Node>),
    Empty(Box<Node>),
    Binary(&'static str, Box<Node>, Box<Node>),
    Choice(Box<Node>, Box<Node>, Box<Node>),
    Property(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    Call(Box<Node>, String, Vec<Node>),
}

/// Deeper nesting than any person writes; keeps hostile files from exhausting the stack.
const DEPTH: usize = 64;

/// Parses up to and including the closing brace; returns how many bytes that took.
pub(super) fn parse(source: &str) -> Result<(Node, usize), String> {
    let mut lexer = Lexer::new(source);
    let token = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        depth: 0,
    };
    let node = parser.choice()?;
    if parser.token != Token::End {
        return Err(format!("{} is not expected here", show(&parser.token)));
    }
    Ok((node, parser.lexer.position()))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    depth: usize,
}

impl Parser<'_> {
    /// The current token; reads the next one, unless the expression is over.
    fn advance(&mut self) -> Result<Token, String> {
        let next = match self.token {
            Token::End => Token::End,
            _ => self.lexer.next()?,
        };
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn take(&mut self, symbol: &'static str) -> Result<bool, String> {
        let found = self.token == Token::Symbol(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), String> {
        if self.take(symbol)? {
            return Ok(());
        }
        Err(format!(
            "'{symbol}' expected instead of {}",
            show(&self.token)
        ))
    }

    fn choice(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let condition = self.binary(0)?;
        let node = if self.take("?")? {
            let yes = self.choice()?;
            self.expect(":")?;
            let no = self.choice()?;
            Node::Choice(Box::new(condition), Box::new(yes), Box::new(no))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    fn binary(&mut self, level: u8) -> Result<Node, String> {
        let mut left = self.unary()?;
        while let Token::Symbol(symbol) = self.token {
            let Some(strength) = strength(symbol).filter(|&strength| strength >= level) else {
                break;
            };
            self.advance()?;
            let right = self.binary(strength + 1)?;
            left = Node::Binary(symbol, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, String> {
        let wrap = match self.token {
            Token::Symbol("!") => Node::Not,
            Token::Symbol("-") => Node::Negate,
            Token::Symbol("empty") => Node::Empty,
            _ => return self.postfix(),
        };
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("nested too deeply".to_owned());
        }
        self.advance()?;
        let node = wrap(Box::new(self.unary()?));
        self.depth -= 1;
        Ok(node)
    }

    fn postfix(&mut self) -> Result<Node, String> {
        let mut node = self.primary()?;
        loop {
            if self.take(".")? {
                let Token::Name(name) = self.advance()? else {
                    return Err("a name is expected after '.'".to_owned());
                };
                node = if self.take("(")? {
                    let arguments = self.arguments()?;
                    member::check(&node, &name, arguments.len())?;
                    Node::Call(Box::new(node), name, arguments)
                } else {
                    Node::Property(Box::new(node), name)
                };
            } else if self.take("[")? {
                let index = self.choice()?;
                self.expect("]")?;
                node = Node::Index(Box::new(node), Box::new(index));
            } else {
                return Ok(node);
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Node>, String> {
        let mut arguments = Vec::new();
        if self.take(")")? {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.choice()?);
            if !self.take(",")? {
                self.expect(")")?;
                return Ok(arguments);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, String> {
        Ok(match self.advance()? {
            Token::Integer(value) => Node::Value(Variable::Long(value)),
            Token::Float(value) => Node::Value(Variable::Double(value)),
            Token::Text(value) => Node::Value(Variable::String(value)),
            Token::Name(name) if self.token == Token::Symbol("(") => {
                return Err(format!("there is no function '{name}'"));
            }
            Token::Name(name) => match name.as_str() {
                "true" => Node::Value(Variable::Boolean(true)),
                "false" => Node::Value(Variable::Boolean(false)),
                "null" => Node::Value(Variable::Null),
                _ => Node::Name(name),
            },
            Token::Symbol("(") => {
                let node = self.choice()?;
                self.expect(")")?;
                node
            }
            other => return Err(format!("{} is not expected here", show(&other))),
        })
    }
}

/// How tightly a binary operator binds; nothing for other symbols.
fn strength(symbol: &str) -> Option<u8> {
    Some(match symbol {
        "||" => 1,
        "&&" => 2,
        "==" | "!=" => 3,
        "<" | ">" | "<=" | ">=" => 4,
        "+" | "-" => 5,
        "*" | "/" | "%" => 6,
        _ => return None,
    })
}

fn show(token: &Token) -> String {
    match token {
        Token::Integer(value) => value.to_string(),
        Token::Float(value) => value.to_string(),
        Token::Text(value) => format!("'{value}'"),
        Token::Name(name) => name.clone(),
        Token::Symbol(symbol) => format!("'{symbol}'"),
        Token::End => "the end of the expression".to_owned(),
    }
}
