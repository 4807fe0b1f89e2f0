//! The curves as an SVG, a panel for each burst. It is text, and small: no crate is needed for it.

use crate::burst::{Burst, seconds};
use crate::record::Sample;

const WIDTH: f64 = 900.0;
const PANEL: f64 = 250.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 44.0;

/// One curve: its name, its colour, whether it is dashed, and its value in a sample. The colours are
/// those of Okabe and Ito, which people who see fewer colours can tell apart.
type Curve = (&'static str, &'static str, bool, fn(&Sample) -> u32);
const CURVES: [Curve; 5] = [
    ("wanted", "#000000", true, |it| it.wanted),
    ("asked", "#0072b2", false, |it| it.asked),
    ("launched", "#e69f00", false, |it| it.launched),
    ("bound", "#009e73", false, |it| it.bound),
    ("terminated", "#d55e00", false, |it| it.terminated),
];

/// Draws all bursts below one another, each with axes of its own.
pub fn draw(bursts: &[Burst]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few panels")]
    let height = PANEL * bursts.len() as f64 + 34.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    legend(&mut out);
    let mut top = 24.0;
    for burst in bursts {
        panel(&mut out, burst, top);
        top += PANEL;
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String) {
    let mut x = LEFT;
    for (name, colour, dashed, _) in CURVES {
        let stroke = stroke(colour, dashed);
        let (to, text) = (x + 26.0, x + 32.0);
        put(out, format_args!("<path d=\"M{x} 16H{to}\" {stroke}/>"));
        put(out, format_args!("<text x=\"{text}\" y=\"20\">{name}</text>"));
        x += 130.0;
    }
}

fn stroke(colour: &str, dashed: bool) -> String {
    let dashes = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}")
}

fn panel(out: &mut String, burst: &Burst, top: f64) {
    let nodes = burst.size.nodes();
    let last = burst.samples.last().map_or(0, |it| it.at_ms);
    let (x_step, x_end) = axis(seconds(burst.began_ms, last));
    let all = burst.samples.iter().flat_map(|it| CURVES.map(|(_, _, _, of)| of(it)));
    let (y_step, y_end) = axis(f64::from(all.max().unwrap_or_default().max(nodes)));
    let (floor, wide) = (top + PANEL - BOTTOM, WIDTH - LEFT - RIGHT);
    let x = |secs: f64| LEFT + secs / x_end * wide;
    let y = |count: f64| floor - count / y_end * (PANEL - TOP - BOTTOM);
    let title = top + TOP - 14.0;
    put(
        out,
        format_args!(
            "<text x=\"{LEFT}\" y=\"{title:.0}\" font-weight=\"bold\">{nodes} nodes, {} of them with \
             a slurmd; instances against seconds since the first submission</text>",
            burst.size.real
        ),
    );
    for tick in ticks(y_step, y_end) {
        let (at, right) = (y(tick), WIDTH - RIGHT);
        put(out, format_args!("<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#dddddd\"/>"));
        let (text, base) = (LEFT - 8.0, at + 4.0);
        put(
            out,
            format_args!("<text x=\"{text}\" y=\"{base:.1}\" text-anchor=\"end\">{tick}</text>"),
        );
    }
    for tick in ticks(x_step, x_end) {
        let (at, base) = (x(tick), floor + 18.0);
        let to = floor + 4.0;
        put(out, format_args!("<path d=\"M{at:.1} {floor}V{to}\" stroke=\"#888888\"/>"));
        put(
            out,
            format_args!("<text x=\"{at:.1}\" y=\"{base}\" text-anchor=\"middle\">{tick}</text>"),
        );
    }
    for (_, colour, dashed, of) in CURVES {
        let mut path = String::new();
        for sample in &burst.samples {
            let (at, to) = (x(seconds(burst.began_ms, sample.at_ms)), y(f64::from(of(sample))));
            // What was seen holds until the next look.
            let step = if path.is_empty() {
                format!("M{at:.1} {to:.1}")
            } else {
                format!("H{at:.1}V{to:.1}")
            };
            path.push_str(&step);
        }
        let stroke = stroke(colour, dashed);
        put(out, format_args!("<path d=\"{path}\" {stroke}/>"));
    }
}

/// A step of 1, 2 or 5 times a power of ten, at most eight of which reach `most`, and where they end.
fn axis(most: f64) -> (f64, f64) {
    let most = most.max(1.0);
    let mut power = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            let step: f64 = factor * power;
            let count = (most / step).ceil();
            if count <= 8.0 {
                return (step, step * count);
            }
        }
        power *= 10.0;
    }
}

fn ticks(step: f64, end: f64) -> Vec<f64> {
    let places = (0_u32..).map(|n| f64::from(n) * step);
    places.take_while(|at| *at <= end + step / 2.0).collect()
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.push_str(&format!("{line}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::Size;

    #[test]
    fn an_axis_ends_where_all_is_seen() {
        assert_eq!(axis(0.0), (1.0, 1.0));
        assert_eq!(axis(10_000.0), (2000.0, 10_000.0));
        assert_eq!(axis(43.0), (10.0, 50.0));
        assert_eq!(ticks(10.0, 30.0), [0.0, 10.0, 20.0, 30.0]);
    }

    #[test]
    fn each_burst_has_its_curves() {
        let sample = |at_ms, asked| Sample { at_ms, asked, ..Sample::default() };
        let burst = Burst {
            size: Size { real: 1, many: 9 },
            began_ms: 1000,
            samples: vec![sample(1000, 0), sample(2000, 10), sample(11_000, 0)],
            asked_s: 1.0,
            launched_s: 1.0,
            bound_s: 1.0,
            ran_s: 1.0,
            terminated_s: 1.0,
            zero_s: 1.0,
            calls: 1.0,
        };
        let text = draw(&[burst.clone(), burst]);
        assert_eq!(text.matches("stroke-width=\"2\"").count(), 3 * CURVES.len());
        // From zero to the top after a second of ten, and down at the end.
        assert!(text.contains("M70.0 230.0H151.0V70.0H880.0V230.0"), "{text}");
    }
}
