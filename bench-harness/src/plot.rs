//! Pictures of results. The background is transparent and all ink of middle brightness, so that they can be read on
//! light and on dark pages alike.

use crate::pair::Result;
use crate::result::{Line, ResultFile, number};
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plot {
    /// A bar for each line of a metric, the paper's figure as a mark; logarithmic.
    Bars {
        /// The metric.
        metric: &'static str,
        /// Axis label, with the unit.
        label: &'static str,
    },
    /// Bars of percentages, from 0 to 100.
    Shares {
        /// The metric.
        metric: &'static str,
        /// Axis label.
        label: &'static str,
    },
    /// A curve for each protocol and link over [`Line::x`]; both axes linear.
    Lines {
        /// The metric.
        metric: &'static str,
        /// Axis labels, with units.
        labels: [&'static str; 2],
    },
    /// A curve for each protocol and link over [`Line::x`]; both axes logarithmic.
    Curves {
        /// The metric.
        metric: &'static str,
        /// Axis labels, with units.
        labels: [&'static str; 2],
    },
}

const INK: RGBColor = RGBColor(127, 127, 127);
const GARBLED: RGBColor = RGBColor(217, 119, 6);
const COLOURS: [RGBColor; 6] = [
    RGBColor(37, 122, 214),
    RGBColor(16, 150, 110),
    RGBColor(200, 60, 120),
    RGBColor(130, 100, 220),
    RGBColor(110, 130, 40),
    RGBColor(0, 150, 180),
];

/// Garbled circuits have the same colour in all pictures.
fn is_garbled(protocol: &str) -> bool {
    protocol.starts_with("GC") || protocol.contains(": GC")
}

/// Of a picture with curves: pixels of the plotted area and of a line of its legend.
const HEIGHT: f64 = 430.0;
const LEGEND_LINE: f64 = 21.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn style(size: u32, anchor: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK).pos(Pos::new(anchor, VPos::Center))
}

/// The picture as SVG.
///
/// # Errors
/// If it cannot be drawn.
pub fn draw(file: &ResultFile, plot: Plot) -> Result<String> {
    let metric = match plot {
        Plot::Bars { metric, .. }
        | Plot::Shares { metric, .. }
        | Plot::Lines { metric, .. }
        | Plot::Curves { metric, .. } => metric,
    };
    // What is not positive has no logarithm.
    let linear_axes = matches!(plot, Plot::Shares { .. } | Plot::Lines { .. });
    let shown = |line: &&Line| line.metric == metric && (linear_axes || line.value > 0.0);
    let lines: Vec<&Line> = file.lines.iter().filter(shown).collect();
    let mut svg = String::new();
    match plot {
        Plot::Bars { label, .. } => {
            let height = 70 + 20 * lines.len() as u32;
            let area = SVGBackend::with_string(&mut svg, (900, height)).into_drawing_area();
            bars(&area, &file.title, label, &lines, Axis::logarithmic(&lines))?;
        }
        Plot::Shares { label, .. } => {
            let height = 70 + 20 * lines.len() as u32;
            let area = SVGBackend::with_string(&mut svg, (900, height)).into_drawing_area();
            bars(&area, &file.title, label, &lines, Axis::Percent)?;
        }
        Plot::Lines { labels, .. } => {
            let area = SVGBackend::with_string(&mut svg, (900, 520)).into_drawing_area();
            linear(&area, &file.title, labels, &lines)?;
        }
        Plot::Curves { labels, .. } => {
            let area = SVGBackend::with_string(&mut svg, (900, 520)).into_drawing_area();
            curves(&area, &file.title, labels, &lines)?;
        }
    }
    Ok(svg)
}

/// Where a value of a bar goes.
#[derive(Clone, Copy)]
enum Axis {
    /// From the logarithm of the left end, over so many decades.
    Logarithmic { low: f64, span: f64 },
    /// From 0 to 100.
    Percent,
}

impl Axis {
    fn logarithmic(lines: &[&Line]) -> Self {
        let values = lines.iter().flat_map(|l| [Some(l.value), l.paper]).flatten();
        let (least, greatest) = values.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
        let low = (least / 2.0).log10();
        Self::Logarithmic { low, span: ((greatest * 1.1).log10() - low).max(0.1) }
    }

    /// A part of the width.
    fn part(self, x: f64) -> f64 {
        match self {
            Self::Logarithmic { low, span } => (x.log10() - low) / span,
            Self::Percent => x / 100.0,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Logarithmic { .. } => "; logarithmic",
            Self::Percent => "",
        }
    }
}

fn bars(area: &Area<'_>, title: &str, label: &str, lines: &[&Line], axis: Axis) -> Result<()> {
    const LEFT: i32 = 400;
    const WIDTH: f64 = 420.0;
    let at = |x: f64| LEFT + (axis.part(x) * WIDTH) as i32;
    let write = |what: &str, x: i32, y: i32, size: u32, anchor: HPos| {
        area.draw_text(what, &style(size, anchor), (x, y)).map_err(text)
    };
    write(title, 450, 16, 17, HPos::Center)?;
    for (i, line) in lines.iter().enumerate() {
        let y = 46 + 20 * i as i32;
        let link = if line.link.is_empty() { String::new() } else { format!(", {}", line.link) };
        write(&format!("{}: {}{link}", line.case, line.protocol), LEFT - 8, y, 15, HPos::Right)?;
        let colour = if is_garbled(&line.protocol) { GARBLED } else { COLOURS[0] };
        let bar = Rectangle::new([(LEFT, y - 7), (at(line.value), y + 7)], colour.filled());
        area.draw(&bar).map_err(text)?;
        let mut end = at(line.value);
        if let Some(paper) = line.paper {
            let mark =
                Rectangle::new([(at(paper) - 1, y - 9), (at(paper) + 1, y + 9)], INK.filled());
            area.draw(&mark).map_err(text)?;
            end = end.max(at(paper));
        }
        write(&number(line.value), end + 6, y, 15, HPos::Left)?;
    }
    let y = 54 + 20 * lines.len() as i32;
    let legend = format!("{label}{}; vertical marks: the paper", axis.word());
    write(&legend, LEFT, y, 15, HPos::Left)
}

/// Points by protocol and link.
struct Series(Vec<(String, Vec<(f64, f64)>)>);

impl Series {
    fn of(lines: &[&Line]) -> Self {
        let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
        for line in lines {
            let Some(x) = line.x else { continue };
            let link =
                if line.link.is_empty() { String::new() } else { format!(", {}", line.link) };
            let name = format!("{}{link}", line.protocol);
            match series.iter_mut().find(|(other, _)| *other == name) {
                Some((_, points)) => points.push((x, line.value)),
                None => series.push((name, vec![(x, line.value)])),
            }
        }
        Self(series)
    }

    /// The least and greatest of one coordinate.
    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> Option<(f64, f64)> {
        let all = self.0.iter().flat_map(|(_, points)| points).map(of);
        let (a, b) = all.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
        (a <= b).then_some((a, b))
    }
}

fn curves(area: &Area<'_>, title: &str, labels: [&str; 2], lines: &[&Line]) -> Result<()> {
    let series = Series::of(lines);
    let widened = |range: Option<(f64, f64)>| range.map_or(1.0..10.0, |(a, b)| a / 1.5..b * 1.5);
    let (x, mut y) = (widened(series.range(|p| p.0)), widened(series.range(|p| p.1)));
    // The legend has the top for itself.
    let legend = LEGEND_LINE * series.0.len() as f64 / HEIGHT;
    y.end *= (y.end / y.start).powf(legend / (1.0 - legend).max(0.1));
    // Where there are figures, there is a tick.
    let mut ticks: Vec<f64> = series.0.iter().flat_map(|(_, p)| p).map(|p| p.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let x = x.log_scale().with_key_points(ticks);
    let chart = builder(area, title).build_cartesian_2d(x, y.log_scale()).map_err(text)?;
    draw_series(chart, labels, &series, SeriesLabelPosition::UpperLeft)
}

fn linear(area: &Area<'_>, title: &str, labels: [&str; 2], lines: &[&Line]) -> Result<()> {
    let series = Series::of(lines);
    let widened = |range: Option<(f64, f64)>| {
        let (a, b) = range.unwrap_or((0.0, 1.0));
        let margin = 0.05 * (b - a).max(1.0);
        a - margin..b + margin
    };
    let (x, y) = (widened(series.range(|p| p.0)), widened(series.range(|p| p.1)));
    let chart = builder(area, title).build_cartesian_2d(x, y).map_err(text)?;
    draw_series(chart, labels, &series, SeriesLabelPosition::LowerRight)
}

fn builder<'a, 'b>(area: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(title, style(21, HPos::Center))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(76);
    builder
}

fn draw_series<'a, 'b: 'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>,
    labels: [&str; 2],
    Series(series): &Series,
    legend: SeriesLabelPosition,
) -> Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(labels[0])
        .y_desc(labels[1])
        .axis_style(INK)
        .bold_line_style(INK.mix(0.3))
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 15).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 16).into_font().color(&INK))
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .draw()
        .map_err(text)?;
    let mut colours = COLOURS.iter().cycle();
    for (name, points) in series {
        let next = if is_garbled(name) { None } else { colours.next() };
        let colour = *next.unwrap_or(&GARBLED);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
            .map_err(text)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let dots = points.iter().map(|&p| Circle::new(p, 3, colour.filled()));
        chart.draw_series(dots).map_err(text)?;
    }
    chart
        .configure_series_labels()
        .label_font(("sans-serif", 15).into_font().color(&INK))
        .position(legend)
        .draw()
        .map_err(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_drawn() {
        let line = |protocol: &str, x: f64| Line {
            case: "case".into(),
            protocol: protocol.into(),
            metric: "seconds".into(),
            value: x * x,
            paper: Some(2.0),
            x: Some(x),
            ..Line::default()
        };
        let lines = ["GC", "ours"].map(|p| [1.0, 8.0, 64.0].map(|x| line(p, x))).concat();
        let file = ResultFile { title: "T".into(), lines, ..ResultFile::default() };
        let bars = draw(&file, Plot::Bars { metric: "seconds", label: "s" }).unwrap();
        assert!(bars.matches("<rect").count() >= 12 && bars.contains("case: GC"), "{bars}");
        let labels = ["elements", "seconds"];
        let curves = draw(&file, Plot::Curves { metric: "seconds", labels }).unwrap();
        assert!(curves.matches("<circle").count() >= 6, "{curves}");
        let lines = draw(&file, Plot::Lines { metric: "seconds", labels }).unwrap();
        assert!(lines.matches("<circle").count() >= 6, "{lines}");
        let shares = draw(&file, Plot::Shares { metric: "seconds", label: "%" }).unwrap();
        assert!(
            shares.matches("<rect").count() >= 12 && !shares.contains("logarithmic"),
            "{shares}"
        );
        let none = draw(&ResultFile::default(), Plot::Curves { metric: "seconds", labels });
        assert!(none.unwrap().contains("<svg"));
    }
}
