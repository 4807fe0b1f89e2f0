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

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 160.0;

impl Chart<'_> {
    /// The chart as an element of a page.
    pub fn svg(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        let title = escaped(self.title);
        let top = self.top();
        // Words beside it are the page's: within the drawing they would be stretched with it.
        writeln!(
            out,
            "<div class=\"chart\"><span class=\"top\">{top}</span><span class=\"middle\">{}</span>\
             <svg role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             preserveAspectRatio=\"none\"><title>{title}</title>",
            top / 2.0
        )?;
        let y = |value: f64| HEIGHT - value / top * HEIGHT;
        for value in [0.0, top / 2.0, top] {
            let at = y(value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            )?;
        }
        for nth in 0..self.layers.len() {
            self.layer(nth, y, &mut out)?;
        }
        self.line(y, &mut out)?;
        let (left, right) = (escaped(self.ends.0), escaped(self.ends.1));
        writeln!(out, "</svg></div><p class=\"ends\"><span>{left}</span><span>{right}</span></p>")?;
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
        part * WIDTH
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
        let (floor, half, top) = ("160.0", "80.0", "0.0");
        let busy = format!("class=\"busy\" d=\"M0.0 {floor}V{half}H200.0V{floor}Z\"");
        assert!(svg.contains(&busy), "{svg}");
        let idle = format!(
            "class=\"idle\" d=\"M0.0 {half}V{top}H200.0V{half}ZM400.0 {floor}V{top}H600.0V{floor}Z\""
        );
        assert!(svg.contains(&idle), "{svg}");
        let line =
            format!("class=\"line\" d=\"M0.0 {top}H200.0M400.0 {half}H600.0L600.0 {half}H800.0\"");
        assert!(svg.contains(&line), "{svg}");
    }

    /// WCAG 2.1, relative luminance and contrast: 4.5 is what text needs.
    #[test]
    fn text_can_be_read_in_light_and_in_dark() {
        let luminance = |color: &str| {
            let long = match color.len() {
                4 => color.chars().skip(1).flat_map(|c| [c, c]).collect::<String>(),
                _ => color[1..].to_owned(),
            };
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&long[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
        };
        let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
        for theme in [light, dark] {
            let value = |name: &str| {
                let rest = theme.split_once(&format!("--{name}: ")).unwrap().1;
                luminance(rest.split(';').next().unwrap())
            };
            let back = value("back");
            for name in ["text", "soft", "bad"] {
                let (one, other) = (value(name).max(back), value(name).min(back));
                let contrast = (one + 0.05) / (other + 0.05);
                assert!(contrast >= 4.5, "{name}: {contrast}");
            }
        }
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
            assert!(svg.contains(&format!(">{top}</span>")), "{highest}: {svg}");
        }
        assert!(chart(&[]).contains("</svg>"));
    }
}
