//! Charts as SVG in a page: no script and no file beside it. Colours are the page's, by class.

use std::fmt::{self, Write};

/// What is drawn in layers, from the bottom up: a name, which is also the class.
pub type Layer = &'static str;

/// A slice of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// A value for each layer; none if nothing is known.
    pub layers: Option<Vec<f64>>,
    /// The height of the line, where there is one.
    pub line: Option<f64>,
}

/// A chart over time.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What it shows, for those who cannot see it.
    pub title: &'a str,
    /// The layers.
    pub layers: &'a [Layer],
    /// The name of the line.
    pub line: &'a str,
    /// The columns, the oldest first.
    pub columns: &'a [Column],
    /// Words below the left and the right end.
    pub ends: (&'a str, &'a str),
}

const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 40.0;
const BOTTOM: f64 = 20.0;
const TOP: f64 = 8.0;

impl Chart<'_> {
    /// The chart as an element of a page.
    pub fn svg(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        let title = escaped(self.title);
        writeln!(
            out,
            "<svg class=\"chart\" role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             preserveAspectRatio=\"none\"><title>{title}</title>"
        )?;
        let top = self.top();
        let (floor, ceiling) = (HEIGHT - BOTTOM, TOP);
        let y = |value: f64| floor - value / top * (floor - ceiling);
        for value in [0.0, top / 2.0, top] {
            let at = y(value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                LEFT - 4.0,
                at + 4.0
            )?;
        }
        for nth in 0..self.layers.len() {
            self.layer(nth, y, &mut out)?;
        }
        self.line(y, &mut out)?;
        let below = HEIGHT - 5.0;
        let (left, right) = (escaped(self.ends.0), escaped(self.ends.1));
        writeln!(
            out,
            "<text x=\"{LEFT}\" y=\"{below}\">{left}</text><text x=\"{WIDTH}\" y=\"{below}\" \
             text-anchor=\"end\">{right}</text></svg>"
        )?;
        Ok(out)
    }

    /// Names and colours of what is drawn.
    pub fn legend(&self) -> String {
        let key = |name: &&str| format!("<span class=\"key {name}\"></span>{name}");
        let layers = self.layers.iter().map(key).collect::<Vec<_>>().join(" ");
        format!("<p class=\"legend\">{layers} <span class=\"key line\"></span>{}</p>", self.line)
    }

    /// A height that is read easily, and above everything.
    fn top(&self) -> f64 {
        let height = |column: &Column| {
            let layers: f64 = column.layers.iter().flatten().sum();
            layers.max(column.line.unwrap_or(0.0))
        };
        let highest = self.columns.iter().map(height).fold(0.0, f64::max);
        let mut step = 2.0;
        while step < highest {
            // 2, 4, 10, 20, 40, 100, ...: each has a half that is read easily, too.
            step *= if format!("{step:.0}").starts_with('4') { 2.5 } else { 2.0 };
        }
        step
    }

    fn x(&self, nth: usize) -> f64 {
        let all = self.columns.len().max(1);
        #[expect(clippy::cast_precision_loss, reason = "columns of a chart")]
        let part = nth as f64 / all as f64;
        LEFT + part * (WIDTH - LEFT)
    }

    /// One layer, as steps; where nothing is known there is a gap.
    fn layer(&self, nth: usize, y: impl Fn(f64) -> f64, out: &mut String) -> fmt::Result {
        let mut path = String::new();
        for (place, column) in self.columns.iter().enumerate() {
            let Some(values) = &column.layers else { continue };
            let below: f64 = values.iter().take(nth).sum();
            let value = values.get(nth).copied().unwrap_or(0.0);
            if value > 0.0 {
                let (left, right) = (self.x(place), self.x(place + 1));
                let (low, high) = (y(below), y(below + value));
                write!(path, "M{left:.1} {low:.1}V{high:.1}H{right:.1}V{low:.1}Z")?;
            }
        }
        let name = self.layers.get(nth).copied().unwrap_or("");
        if path.is_empty() {
            Ok(())
        } else {
            writeln!(out, "<path class=\"{name}\" d=\"{path}\"/>")
        }
    }

    fn line(&self, y: impl Fn(f64) -> f64, out: &mut String) -> fmt::Result {
        let mut path = String::new();
        let mut is_drawing = false;
        for (place, column) in self.columns.iter().enumerate() {
            let Some(value) = column.line else {
                is_drawing = false;
                continue;
            };
            let (begin, at) = (if is_drawing { 'L' } else { 'M' }, y(value));
            write!(path, "{begin}{:.1} {at:.1}H{:.1}", self.x(place), self.x(place + 1))?;
            is_drawing = true;
        }
        if path.is_empty() { Ok(()) } else { writeln!(out, "<path class=\"line\" d=\"{path}\"/>") }
    }
}

/// Text within a page, or within quotes there.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The style of pages with charts: light or dark as the reader has it, readable on a phone. The
/// colours of the layers can be told apart with any kind of colour blindness by their lightness.
pub const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(columns: &[Column]) -> String {
        let chart = Chart {
            title: "a \"b\" <c>",
            layers: &["busy", "idle"],
            line: "demand",
            columns,
            ends: ("then", "now"),
        };
        chart.svg().unwrap()
    }

    #[test]
    fn layers_lie_on_one_another_and_what_is_not_known_is_a_gap() {
        let column = |busy, idle, line| Column { layers: Some(vec![busy, idle]), line };
        let svg = chart(&[
            column(1.0, 1.0, Some(2.0)),
            Column::default(),
            column(0.0, 2.0, Some(1.0)),
            column(0.0, 0.0, Some(1.0)),
        ]);
        assert!(svg.contains("aria-label=\"a &quot;b&quot; &lt;c&gt;\""), "{svg}");
        let (floor, half, top) = ("160.0", "84.0", "8.0");
        let busy = format!("class=\"busy\" d=\"M40.0 {floor}V{half}H240.0V{floor}Z\"");
        assert!(svg.contains(&busy), "{svg}");
        let idle = format!(
            "class=\"idle\" d=\"M40.0 {half}V{top}H240.0V{half}ZM440.0 {floor}V{top}H640.0V{floor}Z\""
        );
        assert!(svg.contains(&idle), "{svg}");
        let line =
            format!("class=\"line\" d=\"M40.0 {top}H240.0M440.0 {half}H640.0L640.0 {half}H840.0\"");
        assert!(svg.contains(&line), "{svg}");
    }

    #[test]
    fn the_scale_is_read_easily_and_above_everything() {
        for (highest, top) in [
            (0.0, "2"),
            (2.0, "2"),
            (2.1, "4"),
            (5.0, "10"),
            (11.0, "20"),
            (41.0, "100"),
            (1000.0, "1000"),
        ] {
            let svg = chart(&[Column { layers: Some(vec![highest, 0.0]), line: None }]);
            assert!(svg.contains(&format!(">{top}</text>")), "{highest}: {svg}");
        }
        assert!(chart(&[]).ends_with("</svg>\n"));
    }
}
