//! Figures that a benchmark takes: printed as they come, and written for who joins them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::say;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// So much, or less.
    AtMost(f64),
    /// So much, or more.
    AtLeast(f64),
}

impl Goal {
    /// Whether a value is as it should be.
    #[must_use]
    pub fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// The same of something else, taken in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// What it is of.
    pub of: String,
    /// One value for each of the figure's own.
    pub values: Vec<f64>,
}

/// A figure: one value for each time that it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// For programs: it stays the same from one release to the next.
    pub name: String,
    /// For people, with the unit.
    pub what: String,
    /// In the order in which they were taken.
    pub values: Vec<f64>,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
}

impl Figure {
    /// A figure of these values.
    #[must_use]
    pub fn new(name: &str, what: impl Into<String>, values: Vec<f64>) -> Self {
        Self { name: name.to_owned(), what: what.into(), values, goal: None, beside: None }
    }

    /// The median should be so much at most.
    #[must_use]
    pub fn at_most(self, most: f64) -> Self {
        Self { goal: Some(Goal::AtMost(most)), ..self }
    }

    /// The median should be so much at least.
    #[must_use]
    pub fn at_least(self, least: f64) -> Self {
        Self { goal: Some(Goal::AtLeast(least)), ..self }
    }

    /// What something else had in the same runs.
    #[must_use]
    pub fn beside(self, of: &str, values: Vec<f64>) -> Self {
        Self { beside: Some(Beside { of: of.to_owned(), values }), ..self }
    }

    /// The median, the least and the most of the values.
    #[must_use]
    pub fn middle_and_ends(&self) -> (f64, f64, f64) {
        let last = quantile(&self.values, 1.0);
        (median(&self.values), quantile(&self.values, 0.0), last)
    }

    /// Whether the median is as it should be; `None` if nothing was asked of it.
    #[must_use]
    pub fn is_reached(&self) -> Option<bool> {
        self.goal.map(|goal| goal.is_reached(median(&self.values)))
    }

    /// The median of what the other had for each one of this, run by run.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let beside = self.beside.as_ref()?;
        let pairs = self.values.iter().zip(&beside.values);
        Some(median(&pairs.map(|(own, other)| other / own).collect::<Vec<_>>()))
    }
}

/// The figures of one program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What they are about.
    pub title: String,
    /// In the order in which they were taken.
    pub figures: Vec<Figure>,
}

impl Figures {
    /// Begins, with a line that says what its columns are.
    #[must_use]
    pub fn begin(title: &str) -> Self {
        say(&format!(
            "{title:<66} {:>10} {:>10} {:>10}  {:<12} {}",
            "median", "min", "max", "to reach", "beside, ratio"
        ));
        Self { title: title.to_owned(), figures: Vec::new() }
    }

    /// Adds a figure, and prints it.
    pub fn add(&mut self, figure: Figure) {
        let (median, least, most) = figure.middle_and_ends();
        let goal = figure.goal.map_or_else(String::new, |goal| match goal {
            Goal::AtMost(most) => format!("<= {most}"),
            Goal::AtLeast(least) => format!(">= {least}"),
        });
        let beside = figure.beside.as_ref().zip(figure.ratio()).map(|(beside, ratio)| {
            format!("{} {:.2}, {ratio:.2}x", beside.of, self::median(&beside.values))
        });
        say(&format!(
            "{:<66} {median:>10.2} {least:>10.2} {most:>10.2}  {goal:<12} {}",
            figure.what,
            beside.unwrap_or_default()
        ));
        self.figures.push(figure);
    }

    /// Writes them for who joins the figures of several programs.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Reads what [`Figures::write`] has written.
    ///
    /// # Errors
    /// If there is no such file, or something else in it.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file);
        let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} has no figures", file.display()))
    }
}

/// The value in the middle; of an even number of values the upper one of the two.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The smallest value that this share of the values does not exceed; NaN if there are none.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among the values of one run"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=60).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.5), 30.0);
        assert_eq!(quantile(&values, 0.99), 60.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_goal_is_judged_by_the_median_and_a_ratio_run_by_run() {
        let figure = Figure::new("f", "f", vec![1.0, 9.0, 2.0]).at_most(2.0);
        assert_eq!(figure.is_reached(), Some(true));
        assert_eq!(figure.at_least(3.0).is_reached(), Some(false));
        let figure = Figure::new("f", "f", vec![1.0, 2.0, 4.0]);
        assert_eq!(figure.is_reached(), None);
        assert_eq!(figure.beside("other", vec![3.0, 4.0, 40.0]).ratio(), Some(3.0));
    }

    #[test]
    fn figures_are_read_as_they_were_written() {
        let mut figures = Figures::begin("some");
        figures.add(Figure::new("a", "a, ms", vec![1.5]).at_least(1.0));
        figures.add(Figure::new("b", "b, ms", vec![2.0]).beside("c", vec![3.0]));
        let file = tempfile::NamedTempFile::new().unwrap();
        figures.write(file.path()).unwrap();
        assert_eq!(Figures::read(file.path()).unwrap(), figures);
    }
}
