//! Writes a page with a block of each kind to standard output.

use alexnet_report::{Bar, Card, Chart, HeatMap, ImageData, Line, Mark, Page, Table};

/// A PNG of one grey pixel.
const PIXEL: [u8; 67] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8,
    0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x68, 0, 0, 0, 0x82,
    0, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut page = Page::new("Two runs", "The blocks of a report, with made-up numbers.");
    page.set_groups(vec!["slow".into(), "fast".into()]);

    let curves = page.section("Curves");
    curves.text("The lines of each run have one colour; those of the validation are dashed.");
    let mut chart = Chart::new("Loss", "epochs", "loss (nats)");
    for (group, speed) in [(0, 0.1), (1, 0.3)] {
        let training = (0..200).map(|step| f64::from(step) / 10.0).map(|x| (x, 2.3 * (-speed * x).exp())).collect();
        let validation = (1..=20).map(f64::from).map(|x| (x, 0.1 + 2.3 * (-speed * x).exp())).collect();
        let name = ["slow", "fast"][group];
        chart.lines.push(Line { group, ..Line::new(format!("{name}, training"), training) });
        chart.lines.push(Line { group, is_dashed: true, ..Line::new(format!("{name}, validation"), validation) });
    }
    chart.marks.push(Mark { x: 12.0, label: "rate 0.001".into() });
    curves.chart(chart);

    let classes = page.section("Classes");
    classes.heat_map(HeatMap::of_rows("Confusion", &["cat", "dog"], &[vec![9, 1], vec![3, 7]])?);
    let bars = vec![
        Bar { name: "dog".into(), probability: 0.9, is_right: false },
        Bar { name: "cat".into(), probability: 0.1, is_right: true },
    ];
    let image = ImageData::new(&PIXEL, "Image 17, a cat")?;
    classes.image(image.clone(), "One grey pixel.");
    classes.cards("Mistakes", vec![Card { image, title: "cat".into(), note: "image 3".into(), bars }]);

    let settings = page.section("Settings");
    let rows = vec![vec!["optim.lr".into(), "0.001".into(), "0.003".into()]];
    settings.table(Table::new("Settings that differ", &["setting", "slow", "fast"], rows)?);
    settings.listing("Commands", "alexnet train --data train.pack --out again");
    settings.details("run.toml", "[optim]\nlr = 0.001");
    println!("{}", page.to_html()?);
    Ok(())
}
