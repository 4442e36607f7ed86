//! Tables on the terminal: columns as wide as their content, or JSON for programs.

use std::io::{self, Write};

use serde_json::{Map, Value};

/// Rows under named columns.
#[derive(Debug)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    #[must_use]
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells beyond the columns are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints to standard output, as JSON (a list of objects) if asked to.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print(&self, json: bool) -> io::Result<()> {
        let text = if json { self.json() } else { self.text() };
        io::stdout().lock().write_all(text.as_bytes())
    }

    fn json(&self) -> String {
        let object = |row: &Vec<String>| {
            let members = self.columns.iter().zip(row);
            let named =
                |(name, cell): (&&str, &String)| (name.to_string(), Value::String(cell.clone()));
            Value::Object(members.map(named).collect::<Map<_, _>>())
        };
        format!(
            "{:#}\n",
            Value::Array(self.rows.iter().map(object).collect())
        )
    }

    fn text(&self) -> String {
        let head: Vec<String> = self
            .columns
            .iter()
            .map(|name| name.to_uppercase())
            .collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let width = |column: usize| {
            lines
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| width(column).unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in lines {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let mut table = Table::new(&["key", "value"]);
        table.row(["fhir.listen".to_owned(), "0.0.0.0:8443".to_owned()]);
        assert_eq!(
            table.text(),
            "KEY          VALUE\nfhir.listen  0.0.0.0:8443\n"
        );
        assert!(table.json().contains("\"key\": \"fhir.listen\""));
    }
}
