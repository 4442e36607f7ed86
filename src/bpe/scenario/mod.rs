//! Scenarios: executable expectations for processes (`spec/scenario.md`).
