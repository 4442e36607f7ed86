//! From words to the tree, by precedence.

use super::ast::{Expression, Function, Operator, Variable};
use super::lex::{Token, tokens};
use crate::fhir::validate::pattern::{self, Pattern};

/// Deepest nesting of an expression.
const DEEPEST: usize = 64;
/// Longest expression.
const LONGEST: usize = 16 * 1024;
/// Most operators and invocations of one expression: its tree is walked by recursion.
const MOST_LINKS: usize = 300;

/// Operators by how strongly they bind, weakest first.
const LEVELS: [&[(&str, Operator)]; 8] = [
    &[("implies", Operator::Implies)],
    &[("or", Operator::Or), ("xor", Operator::Xor)],
    &[("and", Operator::And)],
    &[("in", Operator::In), ("contains", Operator::Contains)],
    &[
        ("=", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("~", Operator::Equivalent),
        ("!~", Operator::NotEquivalent),
    ],
    &[
        ("<=", Operator::LessEqual),
        (">=", Operator::GreaterEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("|", Operator::Union)],
    &[],
];
const SUMS: &[(&str, Operator)] = &[
    ("+", Operator::Add),
    ("-", Operator::Subtract),
    ("&", Operator::Join),
];
const PRODUCTS: &[(&str, Operator)] = &[
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
    ("div", Operator::Div),
    ("mod", Operator::Mod),
];

impl Expression {
    /// Parses; the error says what is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("longer than {LONGEST} characters"));
        }
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
            links: 0,
        };
        let expression = parser.level(0)?;
        match parser.peek() {
            None => Ok(expression),
            Some(token) => Err(format!("unexpected {}", shown(token))),
        }
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Name(name, _) => name.clone(),
        Token::Text(text) => format!("'{text}'"),
        Token::Integer(number) => number.to_string(),
        Token::Decimal(number) => number.to_string(),
        Token::Variable(name) => format!("%{name}"),
        Token::Special(name) => format!("${name}"),
        Token::Symbol(symbol) => (*symbol).to_owned(),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    links: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = match self.peek() {
            Some(Token::Symbol(symbol)) => *symbol == word,
            Some(Token::Name(name, false)) => name == word,
            _ => false,
        };
        self.at += usize::from(is_it);
        is_it
    }

    fn needs(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) {
            return Ok(());
        }
        let found = self.peek().map_or("the end".to_owned(), shown);
        Err(format!("expected {word}, found {found}"))
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        operators
            .iter()
            .find(|(word, _)| self.takes(word))
            .map(|(_, operator)| *operator)
    }

    /// Counts one more link of the chain or tree that is being built.
    fn link(&mut self) -> Result<(), String> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(format!("more than {MOST_LINKS} operators and invocations"));
        }
        Ok(())
    }

    fn level(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level).filter(|operators| !operators.is_empty()) else {
            return self.typed();
        };
        self.depth += usize::from(level == 0);
        if self.depth > DEEPEST {
            return Err(format!("nested more than {DEEPEST} deep"));
        }
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            self.link()?;
            let right = self.level(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= usize::from(level == 0);
        Ok(left)
    }

    fn typed(&mut self) -> Result<Expression, String> {
        let mut left = self.sum()?;
        loop {
            if self.takes("is") {
                left = Expression::Is(Box::new(left), self.type_name()?);
            } else if self.takes("as") {
                left = Expression::As(Box::new(left), self.type_name()?);
            } else {
                return Ok(left);
            }
            self.link()?;
        }
    }

    fn sum(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        while let Some(operator) = self.operator(SUMS) {
            self.link()?;
            let right = self.product()?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.signed()?;
        while let Some(operator) = self.operator(PRODUCTS) {
            self.link()?;
            let right = self.signed()?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Expression, String> {
        if self.takes("-") {
            return Ok(Expression::Negative(Box::new(self.chain()?)));
        }
        self.takes("+");
        self.chain()
    }

    /// A term and what is asked of it: `.name`, `.function()`, `[index]`.
    fn chain(&mut self) -> Result<Expression, String> {
        let mut term = self.term()?;
        loop {
            if self.takes(".") {
                term = self.invocation(Some(Box::new(term)))?;
            } else if self.takes("[") {
                let index = self.level(0)?;
                self.needs("]")?;
                term = Expression::Item(Box::new(term), Box::new(index));
            } else {
                return Ok(term);
            }
            self.link()?;
        }
    }

    fn term(&mut self) -> Result<Expression, String> {
        if self.takes("(") {
            let inner = self.level(0)?;
            self.needs(")")?;
            return Ok(inner);
        }
        if self.takes("{") {
            self.needs("}")?;
            return Ok(Expression::Empty);
        }
        let token = self.peek().cloned().ok_or("it ends too early")?;
        let literal = match token {
            Token::Text(text) => Expression::Text(text.into()),
            Token::Integer(number) => Expression::Integer(number),
            Token::Decimal(number) => Expression::Decimal(number),
            Token::Variable(name) => Expression::Variable(variable(&name)?),
            Token::Special(name) => match name.as_str() {
                "this" => Expression::This,
                "index" => Expression::Index,
                _ => return Err(format!("${name} is not supported")),
            },
            Token::Name(name, false) if name == "true" => Expression::Bool(true),
            Token::Name(name, false) if name == "false" => Expression::Bool(false),
            Token::Name(..) => return self.invocation(None),
            Token::Symbol(symbol) => return Err(format!("unexpected {symbol}")),
        };
        self.at += 1;
        Ok(literal)
    }

    fn invocation(&mut self, target: Option<Box<Expression>>) -> Result<Expression, String> {
        let Some(Token::Name(name, _)) = self.peek().cloned() else {
            let found = self.peek().map_or("the end".to_owned(), shown);
            return Err(format!("expected a name, found {found}"));
        };
        self.at += 1;
        if !self.takes("(") {
            return Ok(Expression::Member(target, name.into()));
        }
        let (function, count) = Function::of_name(&name)
            .ok_or_else(|| format!("the function {name} is not supported"))?;
        if matches!(function, Function::OfType | Function::As | Function::Is) {
            let type_name = self.type_name()?;
            self.needs(")")?;
            let on = target.unwrap_or(Box::new(Expression::This));
            return Ok(match function {
                Function::Is => Expression::Is(on, type_name),
                _ => Expression::As(on, type_name),
            });
        }
        let mut arguments = Vec::new();
        if !self.takes(")") {
            loop {
                arguments.push(self.level(0)?);
                if !self.takes(",") {
                    break;
                }
            }
            self.needs(")")?;
        }
        if !count.contains(&arguments.len()) {
            return Err(format!(
                "{name} does not take {} arguments",
                arguments.len()
            ));
        }
        match (function, arguments.as_slice()) {
            (Function::Matches, [Expression::Text(text)]) => {
                Ok(Expression::Matches(target, compiled(text)?))
            }
            (Function::ReplaceMatches, [Expression::Text(text), with]) => {
                let with = Box::new(with.clone());
                Ok(Expression::Replaces(target, compiled(text)?, with))
            }
            _ => Ok(Expression::Call(target, function, arguments)),
        }
    }

    /// A type, its namespace left out.
    fn type_name(&mut self) -> Result<Box<str>, String> {
        loop {
            let Some(Token::Name(name, _)) = self.peek().cloned() else {
                return Err("expected the name of a type".to_owned());
            };
            self.at += 1;
            if !self.takes(".") {
                return Ok(name.into());
            }
        }
    }
}

fn compiled(text: &str) -> Result<Pattern, String> {
    pattern::compile(text).map_err(|error| format!("pattern {text}: {error}"))
}

fn variable(name: &str) -> Result<Variable, String> {
    Ok(match name {
        "context" => Variable::Context,
        "resource" => Variable::Resource,
        "rootResource" => Variable::RootResource,
        "ucum" => Variable::Ucum,
        "sct" => Variable::Sct,
        "loinc" => Variable::Loinc,
        _ => return Err(format!("%{name} is not supported")),
    })
}
