//! Lines over seconds as SVG.

use std::fmt::Write;

/// A plot of named lines, one value a second; `logarithmic` by powers of ten.
pub fn plot(title: &str, lines: &[(&str, Vec<f64>)], logarithmic: bool) -> String {
    let values =
        || lines.iter().flat_map(|(_, values)| values.iter().copied()).filter(|value| value.is_finite());
    let seconds = lines.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let top = values().fold(0.0, f64::max);
    let axis = Axis::new(top, logarithmic);
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui,sans-serif\" \
         font-size=\"12\"><text x=\"{LEFT}\" y=\"16\" font-size=\"14\" font-weight=\"bold\">{title}</text>"
    );
    for (value, label) in axis.marks() {
        let y = axis.y(value);
        let _ = write!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let x = |at: usize| LEFT + (RIGHT - LEFT) * at as f64 / seconds.saturating_sub(1).max(1) as f64;
    for at in [0, seconds / 2, seconds.saturating_sub(1)] {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{} s</text>",
            x(at),
            BOTTOM + 18.0,
            at + 1
        );
    }
    for (number, (name, values)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let finite = values.iter().enumerate().filter(|(_, value)| value.is_finite());
        let points: String =
            finite.map(|(at, value)| format!("{:.1},{:.1} ", x(at), axis.y(*value))).collect();
        let legend = RIGHT - 110.0 * (lines.len() - number) as f64 + 20.0;
        let _ = write!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/><rect x=\"{legend}\" y=\"7\" \
             width=\"12\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"16\">{name}</text>",
            points.trim_end(),
            legend + 17.0
        );
    }
    out + "</svg>"
}

/// The vertical axis.
struct Axis {
    top: f64,
    logarithmic: bool,
}

impl Axis {
    fn new(top: f64, logarithmic: bool) -> Axis {
        let top = if top > 0.0 { top } else { 1.0 };
        let power = 10f64.powf(top.log10().ceil());
        if logarithmic {
            return Axis { top: power.max(10.0), logarithmic };
        }
        // The next of 1, 2, 5 times a power of ten.
        let rounded =
            [0.1, 0.2, 0.5, 1.0].into_iter().map(|step| step * power).find(|rounded| *rounded >= top);
        Axis { top: rounded.unwrap_or(power), logarithmic }
    }

    fn y(&self, value: f64) -> f64 {
        let share = match self.logarithmic {
            true => value.max(1.0).log10() / self.top.log10(),
            false => value / self.top,
        };
        BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0)
    }

    fn marks(&self) -> Vec<(f64, String)> {
        if self.logarithmic {
            let powers = 0..=self.top.log10().round() as u32;
            return powers.map(|power| (10f64.powi(power as i32), format!("{}", 10u64.pow(power)))).collect();
        }
        (0..=4).map(|step| self.top * f64::from(step) / 4.0).map(|value| (value, label(value))).collect()
    }
}

fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 880.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 225.0;
/// Told apart by people who do not see all colours.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_the_frame() {
        for logarithmic in [false, true] {
            let svg = plot("t", &[("a", vec![0.0, 3.0, 1e6]), ("b", vec![f64::NAN, 2.0])], logarithmic);
            assert_eq!(svg.matches("<polyline").count(), 2);
            for points in svg.split("points=\"").skip(1) {
                let points = points.split('"').next().unwrap();
                for point in points.split_whitespace() {
                    let (x, y) = point.split_once(',').unwrap();
                    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                    assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y), "{point}");
                }
            }
        }
        assert!(plot("empty", &[("a", vec![])], false).ends_with("</svg>"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (top, expected) in [(0.0, 1.0), (3.0, 5.0), (17.0, 20.0), (100.0, 100.0), (0.3, 0.5)] {
            assert!((Axis::new(top, false).top - expected).abs() < 1e-9, "{top}");
        }
        assert_eq!(Axis::new(742.0, true).marks().len(), 4);
    }
}
