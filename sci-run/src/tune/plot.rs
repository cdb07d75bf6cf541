//! Accuracy over scale, as a picture.

use crate::failure::{Failure, Result};
use athos::autotune::Tuning;
use plotters::prelude::*;

const SIZE: (u32, u32) = (720, 440);
const FONT: (&str, u32) = ("sans-serif", 15);

/// One point a scale, at the least bitwidth without overflow, which stands beside it; the float
/// network and the tolerance below it as lines; the chosen setting as a ring.
pub(super) fn svg(model: &str, tuning: &Tuning, tolerance: f64) -> Result<String> {
    let mut text = String::new();
    draw(model, tuning, tolerance, &mut text)
        .map_err(|e| Failure::new("misuse", format_args!("cannot draw: {e}")))?;
    Ok(text)
}

fn draw(
    model: &str,
    tuning: &Tuning,
    tolerance: f64,
    text: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut points: Vec<(u32, f64, u32)> = Vec::new();
    for setting in tuning.settings.iter().filter(|setting| setting.overflowing == 0) {
        if points.last().is_none_or(|last| last.0 != setting.scale) {
            points.push((setting.scale, 100.0 * setting.accuracy, setting.bitwidth));
        }
    }
    let float = 100.0 * tuning.float_accuracy;
    let first = points.first().map_or(0, |p| p.0);
    let last = points.last().map_or(1, |p| p.0);
    let low = points.iter().map(|p| p.1).fold(float, f64::min);
    let high = points.iter().map(|p| p.1).fold(float, f64::max);
    let margin = (0.1 * (high - low)).max(0.5);
    let (left, right) = (f64::from(first) - 0.5, f64::from(last) + 0.5);

    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{model}: accuracy over scale, {} samples", tuning.samples), FONT)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(left..right, low - margin..high + 2.0 * margin)?;
    chart
        .configure_mesh()
        .x_desc("scale (bits after the binary point)")
        .y_desc(if tuning.labelled { "top-1, %" } else { "agreement with float, %" })
        .x_labels((last - first + 1) as usize)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.1}"))
        .draw()?;
    let level = |y: f64| LineSeries::new([(left, y), (right, y)], BLACK.stroke_width(1));
    chart
        .draw_series(level(float))?
        .label("float")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLACK.stroke_width(1)));
    let allowed = float - 100.0 * tolerance;
    chart
        .draw_series(LineSeries::new([(left, allowed), (right, allowed)], RED.mix(0.5)))?
        .label("tolerance")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], RED.mix(0.5)));
    let line = points.iter().map(|&(scale, accuracy, _)| (f64::from(scale), accuracy));
    chart
        .draw_series(LineSeries::new(line.clone(), BLUE.stroke_width(2)))?
        .label("fixed point, least bitwidth beside")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLUE.stroke_width(2)));
    chart.draw_series(line.map(|point| Circle::new(point, 3, BLUE.filled())))?;
    chart.draw_series(points.iter().map(|&(scale, accuracy, bitwidth)| {
        let label = Text::new(format!("l={bitwidth}"), (-14, -20), FONT);
        EmptyElement::at((f64::from(scale), accuracy)) + label
    }))?;
    if let Some(chosen) = &tuning.chosen {
        let at = (f64::from(chosen.scale), 100.0 * chosen.accuracy);
        let label = format!("chosen: --scale {} --bitwidth {}", chosen.scale, chosen.bitwidth);
        chart
            .draw_series([Circle::new(at, 8, GREEN.stroke_width(3))])?
            .label(label)
            .legend(|(x, y)| Circle::new((x + 8, y), 5, GREEN.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    drop(chart);
    area.present()?;
    drop(area);
    Ok(())
}
