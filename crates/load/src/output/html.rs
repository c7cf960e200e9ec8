//! A report as one HTML page that needs nothing else: the figures, and a chart of the rates over time.

use std::fmt::{self, Write as _};

use super::text::text;
use crate::Report;
use crate::report::{Part, Second};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
/// Room for the labels.
const MARGIN: f64 = 90.0;

pub fn html(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    write(report, &mut out).unwrap_or_default();
    out
}

fn write(report: &Report, out: &mut String) -> fmt::Result {
    let title = format!("dunlin bench {} over {}", report.scenario, report.wire);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>body{{font:15px sans-serif;margin:2em}}svg text{{font-size:12px}}</style>\n\
         <h1>{title}</h1>\n<pre>{}</pre>",
        escaped(&text(report))
    )?;
    chart(out, "Delivered per second", &report.timeline, |second| second.delivered_per_second)?;
    chart(out, "Sent per second", &report.timeline, |second| second.sent_per_second)?;
    writeln!(out, "</html>")
}

/// One bar for each second; those of the warm-up are paler.
fn chart(
    out: &mut String,
    name: &str,
    timeline: &[Second],
    value: impl Fn(&Second) -> f64,
) -> fmt::Result {
    let most = timeline.iter().map(&value).fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(());
    }
    let (wide, high) = (WIDTH + MARGIN, HEIGHT + 40.0);
    writeln!(
        out,
        "<h2>{name}</h2>\n<svg viewBox=\"0 0 {wide} {high}\" width=\"{wide}\" height=\"{high}\" role=\"img\">"
    )?;
    for (part, share) in [("0", 0.0), ("half", 0.5), ("all", 1.0)] {
        let y = HEIGHT * (1.0 - share) + 15.0;
        let label = most * share;
        writeln!(
            out,
            "<line class=\"{part}\" x1=\"{MARGIN}\" x2=\"{wide}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ccc\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label:.0}</text>",
            MARGIN - 6.0,
            y + 4.0
        )?;
    }
    let step = WIDTH / timeline.len() as f64;
    for (index, second) in timeline.iter().enumerate() {
        let tall = HEIGHT * value(second) / most;
        let colour = match second.part {
            Part::WarmUp => "#b8cbe6",
            Part::Measured => "#2b5fa8",
        };
        writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{colour}\"/>",
            MARGIN + step * index as f64,
            HEIGHT - tall + 15.0,
            (step * 0.9).max(0.5)
        )?;
    }
    let seconds = timeline.len();
    writeln!(out, "<text x=\"{wide}\" y=\"{high}\" text-anchor=\"end\">{seconds} s</text>\n</svg>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_is_a_bar_and_the_highest_fills_the_chart() {
        let second = |part, rate| Second { part, sent_per_second: 0.0, delivered_per_second: rate };
        let timeline = [second(Part::WarmUp, 50.0), second(Part::Measured, 200.0)];
        let mut out = String::new();
        chart(&mut out, "Delivered", &timeline, |second| second.delivered_per_second).unwrap();
        assert_eq!(out.matches("<rect ").count(), 2);
        assert!(out.contains("height=\"75.0\" fill=\"#b8cbe6\""), "{out}");
        assert!(out.contains("height=\"300.0\" fill=\"#2b5fa8\""), "{out}");
        let mut nothing = String::new();
        chart(&mut nothing, "Sent", &timeline, |second| second.sent_per_second).unwrap();
        assert_eq!(nothing, "", "nothing was sent");
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("a<b>&c"), "a&lt;b>&amp;c");
    }
}
