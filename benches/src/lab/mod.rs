//! What `bench` does: plan, run, measure, and tell.

pub mod facts;
pub mod measure;
pub mod picture;
pub mod plan;
pub mod run;
pub mod svg;
pub mod table;

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One run of one case with one transport.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// "w1" to "w9".
    pub workload: String,
    /// Which of its cases: "5 % loss".
    pub variant: String,
    /// The transport's name.
    pub transport: String,
    /// From 1.
    pub repeat: u32,
    /// Name and version of the library, as it says.
    pub library: String,
    /// Are the messages encrypted?
    pub encrypted: bool,
    /// What was measured, by name with unit.
    pub measures: BTreeMap<String, f64>,
    /// Delays of all messages at the percentiles of [`measure::PERCENTILES`], ms; empty where there are none.
    pub curve: Vec<f64>,
    /// Why it failed; the rest is empty then.
    pub failure: Option<String>,
}

impl Run {
    /// For the results file.
    pub fn json(&self) -> Value {
        json!({
            "workload": self.workload, "variant": self.variant, "transport": self.transport, "repeat": self.repeat,
            "library": self.library, "encrypted": self.encrypted, "measures": self.measures, "curve": self.curve,
            "failure": self.failure,
        })
    }

    /// From the results file; `None` if it is none.
    pub fn from_json(value: &Value) -> Option<Run> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let measures: &Map<String, Value> = value["measures"].as_object()?;
        Some(Run {
            workload: text("workload")?,
            variant: text("variant")?,
            transport: text("transport")?,
            repeat: value["repeat"].as_u64()? as u32,
            library: text("library")?,
            encrypted: value["encrypted"].as_bool()?,
            measures: measures.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?))).collect(),
            curve: value["curve"].as_array()?.iter().filter_map(Value::as_f64).collect(),
            failure: text("failure"),
        })
    }
}

/// Median, least and most of some numbers; `None` of none.
pub fn spread(mut numbers: Vec<f64>) -> Option<(f64, f64, f64)> {
    numbers.sort_by(f64::total_cmp);
    let (least, most) = (*numbers.first()?, *numbers.last()?);
    let middle = numbers.len() / 2;
    let median = if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 };
    Some((median, least, most))
}

/// Median, least and most of one measure over the repeats of a case.
pub fn over_repeats(
    runs: &[Run],
    workload: &str,
    variant: &str,
    transport: &str,
    key: &str,
) -> Option<(f64, f64, f64)> {
    let same = runs.iter().filter(|r| r.workload == workload && r.variant == variant && r.transport == transport);
    spread(same.filter_map(|run| run.measures.get(key).copied()).collect())
}

/// The different values of a field, in order of appearance.
pub fn distinct<'a>(runs: &'a [Run], field: impl Fn(&'a Run) -> &'a str) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for value in runs.iter().map(field) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_median_least_and_most() {
        assert_eq!(spread(vec![]), None);
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0]), Some((2.5, 1.0, 4.0)));
    }

    #[test]
    fn a_run_comes_back_from_its_json() {
        let run = Run {
            workload: "w4".to_owned(),
            variant: "5 % loss".to_owned(),
            transport: "ours".to_owned(),
            repeat: 2,
            library: "steamnetmsg 0.1.0".to_owned(),
            encrypted: true,
            measures: BTreeMap::from([("p99_ms".to_owned(), 44.5)]),
            curve: vec![25.0, 44.5],
            failure: None,
        };
        assert_eq!(Run::from_json(&run.json()), Some(run));
    }
}
