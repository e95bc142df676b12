//! Drawing: a few shapes and texts, as an SVG document on a white card, to be read on a dark page too.

use std::fmt::Write;

/// Where a text is anchored.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A picture under way.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty picture of this size, pixels.
    pub fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    /// A filled rectangle.
    pub fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}" rx="2" fill="{colour}"/>"#,
            width.max(0.5)
        );
    }

    /// A line through points; one of two colours away from a grid's.
    pub fn line(&mut self, points: &[(f64, f64)], colour: &str, thick: f64) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{thick}" stroke-linejoin="round"/>"#,
            points.join(" ")
        );
    }

    /// A text; `size` in pixels.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, colour: &str, bold: bool, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{weight}>{text}</text>"#
        );
    }

    /// The document.
    pub fn finish(self) -> String {
        let Svg { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#ffffff\"/>\n{body}</svg>\n"
        )
    }
}

/// A round step that divides a span into some five parts.
pub fn step(span: f64) -> f64 {
    let rough = (span / 5.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= rough * 0.999).unwrap_or(rough)
}

/// A number for people: few digits, thousands as k, millions as M.
pub fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 1e6 => format!("{:.2} M", number / 1e6),
        n if n >= 1e4 => format!("{:.0} k", number / 1e3),
        n if n >= 1e3 => format!("{:.1} k", number / 1e3),
        n if n >= 100.0 || n.fract() == 0.0 => format!("{number:.0}"),
        _ => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_some_five_of_them_cover_the_span() {
        for (span, expected) in [(5.0, 1.0), (10.0, 2.0), (12.0, 2.5), (100.0, 20.0), (260.0, 100.0), (0.5, 0.1)] {
            assert!((step(span) - expected).abs() < 1e-9, "{span}: {}", step(span));
        }
    }

    #[test]
    fn numbers_are_short() {
        let of = |number| short(number);
        assert_eq!(
            [of(2_345_678.0), of(853_210.0), of(4_321.0), of(250.4), of(17.25), of(3.0)],
            ["2.35 M", "853 k", "4.3 k", "250", "17.2", "3"]
        );
    }

    #[test]
    fn texts_cannot_break_the_document() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text((0.0, 0.0), Anchor::Start, 10.0, "black", false, "a < b & c");
        assert!(svg.finish().contains("a &lt; b &amp; c</text>"));
    }
}
