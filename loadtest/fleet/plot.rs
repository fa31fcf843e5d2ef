//! Plots as SVG: how times are distributed, and what controllers used.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::Times;
use crate::resources::{Sample, Used};

/// Width of every plot, and height of one of its panels.
const PANEL: (u32, u32) = (960, 220);
/// Bars of a distribution.
const BARS: usize = 60;
/// Room right of what is drawn, for the legend.
const ROOM: f64 = 1.17;
/// Rows that the names of steps are written in, so that short steps stay readable.
const ROWS: usize = 3;
/// Colours of controllers, over and over.
const COLORS: [RGBColor; 6] = [
    RGBColor(0x1b, 0x6c, 0xa8),
    RGBColor(0xd9, 0x5f, 0x02),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0x7b, 0x3f, 0xa0),
    RGBColor(0xb0, 0x2a, 0x30),
    RGBColor(0x55, 0x55, 0x55),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One panel for each kind of times.
///
/// # Errors
/// When it cannot be drawn.
pub(crate) fn times(all: &[Times]) -> anyhow::Result<String> {
    draw(all.len(), |areas| areas.iter().zip(all).try_for_each(|(area, times)| distribution(area, times)))
}

/// Memory and processor time of each controller over the run, with the beginnings of
/// its steps.
///
/// # Errors
/// When it cannot be drawn.
pub(crate) fn resources(samples: &[Sample], steps: &[(String, f64)]) -> anyhow::Result<String> {
    draw(2, |areas| {
        course(&areas[0], ("memory of the controllers", "MB resident"), samples, steps, |used| used.megabytes)?;
        course(&areas[1], ("processor time of the controllers", "cores"), samples, steps, |used| used.cores)
    })
}

fn draw(panels: usize, what: impl FnOnce(&[Area<'_>]) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let (mut text, panels) = (String::new(), panels.max(1));
    {
        let root = SVGBackend::with_string(&mut text, (PANEL.0, PANEL.1 * panels as u32)).into_drawing_area();
        root.fill(&WHITE).map_err(trouble)?;
        what(&root.split_evenly((panels, 1)))?;
        root.present().map_err(trouble)?;
    }
    Ok(text)
}

fn distribution(area: &Area<'_>, times: &Times) -> anyhow::Result<()> {
    let (Some(half), Some(high), Some(most)) = (times.part(50), times.part(99), times.part(100)) else {
        return Ok(());
    };
    let (width, bars) = bars(&times.millis, most);
    let title =
        format!("{} ({} times: p50 {half:.0} ms, p99 {high:.0} ms, max {most:.0} ms)", times.words, times.millis.len());
    let highest = bars.iter().max().copied().unwrap_or(1) as f64 * 1.1;
    let mut chart = chart(area, &title, width * (BARS + 1) as f64 * ROOM, highest)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("milliseconds")
        .y_desc("how often")
        .x_label_formatter(&|x| format!("{x:.0}"))
        // There are no halves.
        .y_label_formatter(&|y| if (y - y.round()).abs() < 0.01 { format!("{y:.0}") } else { String::new() })
        .draw()
        .map_err(trouble)?;
    let columns = bars.iter().enumerate().filter(|(_, count)| **count > 0).map(|(place, count)| {
        let corners = [(place as f64 * width, 0.0), ((place + 1) as f64 * width, *count as f64)];
        Rectangle::new(corners, COLORS[0].filled())
    });
    chart.draw_series(columns).map_err(trouble)?;
    for (at, color, name) in [(half, COLORS[2], "p50"), (high, COLORS[4], "p99")] {
        chart
            .draw_series(LineSeries::new([(at, 0.0), (at, highest)], color.stroke_width(2)))
            .map_err(trouble)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    legend(&mut chart)
}

/// Width of a bar, and how often what fell into which.
fn bars(millis: &[f64], most: f64) -> (f64, Vec<usize>) {
    let width = (most / BARS as f64).max(0.01);
    let mut counts = vec![0; BARS + 1];
    for one in millis {
        counts[((one / width) as usize).min(BARS)] += 1;
    }
    (width, counts)
}

fn course(
    area: &Area<'_>,
    (title, unit): (&str, &str),
    samples: &[Sample],
    steps: &[(String, f64)],
    of: impl Fn(&Used) -> f64,
) -> anyhow::Result<()> {
    let end = samples.last().map_or(1.0, |sample| sample.seconds).max(1.0);
    let highest = samples.iter().flat_map(|sample| sample.used.iter().flatten()).map(&of).fold(0.0, f64::max);
    let highest = if highest > 0.0 { highest * 1.4 } else { 1.0 };
    let mut chart = chart(area, title, end * ROOM, highest)?;
    let digits = if highest < 10.0 { 2 } else { 0 };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds since the beginning")
        .y_desc(unit)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.digits$}"))
        .draw()
        .map_err(trouble)?;
    for (place, (name, at)) in steps.iter().enumerate() {
        let line = LineSeries::new([(*at, 0.0), (*at, highest)], BLACK.mix(0.3));
        chart.draw_series(line).map_err(trouble)?;
        let top = highest * (1.0 - 0.08 * (place % ROWS) as f64);
        let words = Text::new(format!(" {name}"), (*at, top), ("sans-serif", 12).into_font().color(&BLACK.mix(0.7)));
        chart.draw_series([words]).map_err(trouble)?;
    }
    let places = samples.iter().map(|sample| sample.used.len()).max().unwrap_or_default();
    for place in 0..places {
        let color = COLORS[place % COLORS.len()];
        // A place without a process is a gap in its line.
        let point = |sample: &Sample| Some((sample.seconds, of(sample.used.get(place)?.as_ref()?)));
        let points: Vec<Option<(f64, f64)>> = samples.iter().map(point).collect();
        for (number, part) in points.split(Option::is_none).filter(|part| !part.is_empty()).enumerate() {
            let line = LineSeries::new(part.iter().flatten().copied(), color.stroke_width(2));
            let series = chart.draw_series(line).map_err(trouble)?;
            if number == 0 {
                series
                    .label(format!("controller {place}"))
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
            }
        }
    }
    legend(&mut chart)
}

type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn chart<'a, 'b>(area: &'a Area<'b>, title: &str, x: f64, y: f64) -> anyhow::Result<Chart<'a, 'b>> {
    ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .margin_right(24)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..x, 0.0..y)
        .map_err(trouble)
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>) -> anyhow::Result<()> {
    let mut labels = chart.configure_series_labels();
    let labels = labels.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8));
    labels.label_font(("sans-serif", 12)).draw().map_err(trouble)
}

/// What is drawn goes into memory, so that this is about what is drawn.
fn trouble<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("it cannot be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bar() {
        let (width, bars) = bars(&[0.0, 1.0, 60.0], 60.0);
        assert_eq!((width, bars[0], bars[1], bars[60]), (1.0, 1, 1, 1));
        let (_, bars) = super::bars(&[0.0], 0.0);
        assert_eq!(bars[0], 1);
    }

    #[test]
    fn axes_have_units_and_steps_and_controllers_their_names() {
        let used = |megabytes| Some(Used { cores: 0.5, megabytes });
        let samples: Vec<Sample> = [vec![used(80.0), used(90.0)], vec![None, used(95.0)], vec![used(70.0), None]]
            .into_iter()
            .enumerate()
            .map(|(second, used)| Sample { seconds: second as f64, used })
            .collect();
        let svg = resources(&samples, &[("kills".to_owned(), 1.0)]).expect("is drawn");
        for words in ["MB resident", "cores", "seconds since the beginning", "kills", "controller 0", "controller 1"] {
            assert!(svg.contains(words), "{words}");
        }
        let svg = times(&[Times { name: "kill".to_owned(), words: "kill -9".to_owned(), millis: vec![5.0, 10.0] }])
            .expect("is drawn");
        assert!(svg.contains("kill -9 (2 times: p50 5 ms, p99 10 ms, max 10 ms)") && svg.contains("milliseconds"));
        // A run without any.
        assert!(times(&[]).is_ok() && resources(&[], &[]).is_ok());
    }
}
