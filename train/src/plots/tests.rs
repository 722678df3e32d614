use classification::Classification;
use image::Rgb;
use ndarray::ArrayD;

use super::*;

fn weights(shape: [usize; 4], values: impl Fn(usize) -> f32) -> ArrayD<f32> {
    let count = shape.iter().product();
    ArrayD::from_shape_vec(shape.to_vec(), (0..count).map(values).collect()).unwrap()
}

fn counts(image: &RgbImage, colour: Rgb<u8>) -> usize {
    image.pixels().filter(|pixel| **pixel == colour).count()
}

#[test]
fn kernels_of_the_paper_make_six_rows_of_16() {
    let image = kernels(&weights([96, 11, 11, 3], |i| (i % 17) as f32), 6).unwrap();
    assert_eq!(image.dimensions(), (16 * (66 + 2) + 2, 6 * (66 + 2) + 2));
}

#[test]
fn each_kernel_is_stretched_by_itself() {
    // Two kernels of 1 x 2 in colour; the second one a hundred times as large and shifted.
    let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, -100.0, 0.0, 100.0, 200.0, 300.0, 400.0];
    let image = kernels(&weights([2, 1, 2, 3], |i| values[i]), 3).unwrap();
    // A gap of one pixel, then squares of 3 x 3; beside each other.
    assert_eq!(image.dimensions(), (15, 5));
    for start in [1, 8] {
        assert_eq!(*image.get_pixel(start, 1), Rgb([0, 51, 102]));
        assert_eq!(*image.get_pixel(start + 2, 3), Rgb([0, 51, 102]));
        assert_eq!(*image.get_pixel(start + 3, 1), Rgb([153, 204, 255]));
    }
    assert_eq!(image.get_pixel(0, 0), image.get_pixel(7, 2));
}

#[test]
fn kernels_with_other_channels_are_grey() {
    let one = kernels(&weights([1, 1, 3, 1], |i| i as f32), 1).unwrap();
    let levels: Vec<_> = (1..4).map(|x| *one.get_pixel(x, 1)).collect();
    assert_eq!(levels, [Rgb([0; 3]), Rgb([128; 3]), Rgb([255; 3])]);
    // The mean over four channels: 1.5 and 5.5.
    let four = kernels(&weights([1, 1, 2, 4], |i| i as f32), 1).unwrap();
    assert_eq!([*four.get_pixel(1, 1), *four.get_pixel(2, 1)], [Rgb([0; 3]), Rgb([255; 3])]);
}

#[test]
fn odd_kernels_are_drawn_too() {
    let grey = kernels(&weights([1, 1, 1, 3], |_| 7.0), 4).unwrap();
    assert_eq!(*grey.get_pixel(2, 2), Rgb([128; 3]));
    let magenta = Rgb([255, 0, 255]);
    let broken = kernels(&weights([1, 1, 3, 1], |i| [f32::NAN, 1.0, 2.0][i]), 1).unwrap();
    assert_eq!([1, 2, 3].map(|x| *broken.get_pixel(x, 1)), [magenta, Rgb([0; 3]), Rgb([255; 3])]);
    let lost = kernels(&weights([2, 2, 2, 3], |_| f32::INFINITY), 1).unwrap();
    assert_eq!(counts(&lost, magenta), 8);
    let huge = kernels(&weights([1, 1, 3, 1], |i| [f32::MIN, 0.0, f32::MAX][i]), 1).unwrap();
    assert_eq!(*huge.get_pixel(2, 1), Rgb([128; 3]));
}

#[test]
fn the_scale_gives_way_to_the_limit() {
    for scale in [0, u32::MAX] {
        let image = kernels(&weights([97, 5, 7, 3], |i| i as f32), scale).unwrap();
        assert!(image.width() <= 8192 && image.height() <= 8192, "{scale}: {:?}", image.dimensions());
    }
}

#[test]
fn what_is_no_kernel_is_refused() {
    for shape in [vec![10, 20], vec![0, 3, 3, 3], vec![4, 3, 3, 0]] {
        let error = kernels(&ArrayD::zeros(shape.clone()), 2).unwrap_err();
        assert!(error.to_string().contains(&format!("{shape:?}")), "{error}");
    }
    let error = kernels(&ArrayD::zeros(vec![1, 1, 9000, 1]), 2).unwrap_err();
    assert!(error.to_string().contains("kernels that fit into an image of 8192 x 8192 pixels"), "{error}");
}

/// Groups are drawn apart, each by falling norm, and a shared scale tells strong kernels from weak ones.
#[test]
fn sheets_of_kernels_are_sorted_within_groups() {
    // Kernel n has the weights n and -n, but for the last of each group, which is the strongest.
    let strength = |kernel: usize| if kernel % 4 == 3 { 100.0 } else { kernel as f32 };
    let all = ArrayD::from_shape_fn(vec![8, 2, 2, 3], |i| strength(i[0]) * if i[1] == 0 { 1.0 } else { -1.0 });
    let sheet = |order, range| KernelSheet { layer: "conv1", weights: &all, groups: 2, order, range };
    let sorted = sheet(KernelOrder::Norm, ColourRange::Each);
    let strengths = |sheet: &KernelSheet<'_>| sheet.sorted_weights().iter().step_by(12).copied().collect::<Vec<f32>>();
    assert_eq!(strengths(&sorted), [100.0, 2.0, 1.0, 0.0, 100.0, 6.0, 5.0, 4.0]);
    let unsorted = sheet(KernelOrder::Layer, ColourRange::Each);
    assert_eq!(strengths(&unsorted), [0.0, 1.0, 2.0, 100.0, 4.0, 5.0, 6.0, 100.0]);
    let white =
        |page: &RgbImage| page.enumerate_pixels().filter(|(_, y, pixel)| *y > 72 && pixel.0 == [255; 3]).count();
    let each = sorted.draw().unwrap();
    let shared = sheet(KernelOrder::Norm, ColourRange::Shared).draw().unwrap();
    assert_eq!(each.dimensions(), shared.dimensions());
    assert_ne!(each, shared);
    assert!(white(&each) > white(&shared) + 100, "weak kernels are grey on one scale");
    // The means of many channels are drawn over their own range: those of opposite signs cancel out in part.
    let many = ArrayD::from_shape_fn(vec![2, 2, 2, 4], |i| if i[3] == 0 { 1.0 + i[1] as f32 } else { -0.3 });
    let page =
        KernelSheet { weights: &many, groups: 1, ..sheet(KernelOrder::Norm, ColourRange::Shared) }.draw().unwrap();
    // Weights are squares of 24 pixels, 8 from the edge of the grid. The means are 0.025 and, below, 0.275.
    let [above, below] = [0, 24].map(|down| page.get_pixel(24 + 8 + 12, 72 + 8 + 12 + down).0[0]);
    assert_eq!((above, below), (139, 255));
    let one = KernelSheet { groups: 1, ..sheet(KernelOrder::Norm, ColourRange::Each) };
    assert!(one.draw().unwrap().height() < each.height());
    let wrong = ArrayD::zeros(vec![3, 3]);
    assert!(KernelSheet { weights: &wrong, ..one }.draw().is_err());
}

fn tested() -> Classification {
    let mut test = Classification::new(2);
    for (label, confidence) in [(0, 0.9), (0, 0.9), (0, 0.9), (0, 0.1), (1, 0.1)] {
        test.add(label, &[confidence, 1.0 - confidence]).unwrap();
    }
    test
}

/// A cell is the darker, the larger its share of the row.
#[test]
fn confusion_is_dark_where_the_images_are() {
    let page = confusion(tested().confusion(), &["cat", "dog"]);
    // Cells of 64 pixels from (left, top); the names are 3 characters wide.
    let left = 24 + 24 + 3 * 8 + 8;
    let top = 40 + 24;
    let level = |row: u32, column: u32| page.get_pixel(left + column * 64 + 4, top + row * 64 + 4).0[0];
    let [[hit, miss], [none, all]] = [[level(0, 0), level(0, 1)], [level(1, 0), level(1, 1)]];
    assert!(all < hit && hit < miss && miss < none, "{all}, {hit}, {miss}, {none}");
    assert_eq!((all, none), (8, 246));
}

/// The accuracy of a bin is the height of its bar; where it is above the confidence, the gap is on top.
#[test]
fn reliability_shows_accuracy_and_gap() {
    let calibration = tested().report(1).calibration;
    let page = reliability(&calibration);
    let bin = calibration.bins.iter().position(|bin| bin.images > 0).unwrap();
    assert_eq!(calibration.bins.iter().filter(|bin| bin.images > 0).count(), 1);
    // All confidences are 0.9, and 4 of 5 are right.
    let x = 90 + (bin as u32 * 600) / 15 + 10;
    let at = |accuracy: f64| page.get_pixel(x, 84 + 600 - (accuracy * 600.0) as u32).0;
    assert_eq!([at(0.1), at(0.7)], [[0, 100, 170]; 2]);
    assert_eq!([at(0.82), at(0.98)], [[244, 190, 160], [255, 255, 255]]);
    // An accuracy above the confidence has the gap within its bar, whose frame reaches the accuracy.
    let mut under = calibration.clone();
    under.bins[bin].accuracy = 0.98;
    let page = reliability(&under);
    let at = |x: u32, share: f64| page.get_pixel(x, 84 + 600 - (share * 600.0) as u32).0;
    assert_eq!([at(x, 0.7), at(x, 0.94), at(x - 10, 0.97)], [[0, 100, 170], [244, 190, 160], [0, 100, 170]]);
}

fn row(truth: &str, top: &[(&str, f32)]) -> PredictionRow {
    PredictionRow {
        image: RgbImage::from_pixel(10, 10, Rgb([10, 200, 30])),
        truth: truth.into(),
        top: top.iter().map(|(label, p)| ((*label).to_string(), *p)).collect(),
    }
}

const RIGHT: Rgb<u8> = Rgb([133, 208, 168]);
const WRONG: Rgb<u8> = Rgb([164, 203, 238]);

#[test]
fn predictions_show_image_and_bars() {
    let page = predictions(&[row("cat", &[("dog", 0.5), ("cat", 0.25), ("owl", 0.0)])], "title");
    assert_eq!(page.width(), 232 + 2 * 24);
    let long = predictions(&[row("cat", &[("dog", 0.5)])], "Mistakes with the largest loss");
    assert_eq!(
        long.width(),
        2 * 24 + text::Style::large(paint::INK).bold().width("Mistakes with the largest loss") as u32
    );
    assert_eq!(*page.get_pixel(24 + 100, 72 + 100), Rgb([10, 200, 30]));
    // The first rows of pixels of a bar hold no text: its length is the probability's share of 232.
    let bars = 72 + 232 + 32 + 6;
    let length =
        |bar: u32, colour| (24..24 + 232).filter(|x| *page.get_pixel(*x, bars + bar * 28 + 1) == colour).count();
    assert_eq!([length(0, WRONG), length(0, RIGHT)], [116, 0]);
    assert_eq!([length(1, WRONG), length(1, RIGHT)], [0, 58]);
    assert_eq!([length(2, WRONG), length(2, RIGHT)], [0, 0]);
}

#[test]
fn eight_predictions_make_two_rows_of_four() {
    let one = row("a", &[("a", 1.0), ("b", 0.0), ("c", 0.0), ("d", 0.0), ("e", 0.0), ("f", 0.0)]);
    let page = predictions(&vec![one; 8], "title");
    assert_eq!(page.dimensions(), (24 + 4 * 256, 72 + 2 * (232 + 32 + 6 + 28 + 24)));
    assert!(counts(&page, RIGHT) > 8 * 232 * 20 && counts(&page, WRONG) == 0);
}

/// A sheet of mistakes has no green bar, and a legend explains what is drawn alone; the label that is not drawn counts not.
#[test]
fn a_legend_is_of_what_is_drawn() {
    let legend = |rows: &[PredictionRow]| {
        let page = predictions(rows, "title");
        let top = image::imageops::crop_imm(&page, 0, 40, page.width(), 25).to_image();
        [counts(&top, RIGHT), counts(&top, WRONG)]
    };
    let square = 16 * 14;
    assert_eq!(legend(&[row("cat", &[("cat", 0.5), ("dog", 0.4)])]), [square; 2]);
    assert_eq!(legend(&[row("cat", &[("dog", 0.9), ("cat", 0.0)])]), [0, square]);
    assert_eq!(legend(&[row("cat", &[("dog", 0.9), ("owl", 0.1)])]), [0, square]);
    assert_eq!(legend(&[row("cat", &[("cat", 1.0)])]), [square, 0]);
    assert_eq!(legend(&[row("", &[("dog", 0.9)])]), [0, 0]);
}

#[test]
fn a_note_is_below_the_label() {
    let one = NotedPrediction { note: "image 123, label 0.4 %".into(), ..row("cat", &[("dog", 0.5)]).into() };
    let page = noted_predictions(&[one], "title");
    assert_eq!(page.height(), predictions(&[row("cat", &[("dog", 0.5)])], "title").height() + 22);
    let note = image::imageops::crop_imm(&page, 24, 72 + 232 + 32, 232, 20).to_image();
    assert!(note.pixels().any(|pixel| pixel.0[0] < 140));
}

/// Of a list of synonyms the first is shown where there is no room for all.
#[test]
fn long_names_lose_their_synonyms() {
    let style = text::Style::small(paint::INK);
    let room = style.width("police van, wagon");
    assert_eq!(style.fit_name("police van, police wagon, paddy wagon", room), "police van");
    assert_eq!(style.fit_name("police van, wagon", room), "police van, wagon");
    assert_eq!(style.fit_name("a very very long name, name", room), "a very very lo...");
    assert_eq!(style.fit_name(",,,,,,,,,,,,,,,,,,,,,,", room), ",,,,,,,,,,,,,,...");
}

#[test]
fn odd_predictions_do_not_panic() {
    assert!(predictions(&[], "title").width() > 0);
    let long = "a very long label that no bar can hold in full, ".repeat(40);
    let labels = [long.as_str(), "größte Übergröße", "猫\n\u{301}\u{202e}", "", "x"];
    for probability in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -3.0, 1e30, 0.5] {
        let top: Vec<(&str, f32)> = labels.iter().map(|label| (*label, probability)).collect();
        for (width, height) in [(0, 0), (0, 5), (1, 5000), (3000, 2), (300, 200)] {
            for truth in labels {
                let mut one = row(truth, &top);
                one.image = RgbImage::new(width, height);
                let page = predictions(&[one, row("none", &[])], "title");
                let bars = if probability < 0.001 { 0 } else { 5 };
                assert_eq!(page.dimensions(), (24 + 2 * 256, 72 + 232 + 32 + 6 + bars * 28 + 24));
            }
        }
    }
}

#[test]
fn long_labels_end_before_the_percentage() {
    let ink = |label: &str| {
        let page = predictions(&[row("other", &[(label, 0.01)])], "title");
        let dark = |x: &u32| (342..366).any(|y| page.get_pixel(*x, y).0[0] < 120);
        (24..256).filter(dark).collect::<Vec<_>>()
    };
    let short = ink("i");
    let long = ink(&"i".repeat(300));
    // The gap before "0.0%" stays free, and the percentage stays where it is.
    assert!((218..222).all(|x| !long.contains(&x)), "{long:?}");
    assert_eq!(short.last(), long.last());
}

fn series(name: &str, points: &[(f64, f64)]) -> Series {
    Series { name: name.into(), points: points.to_vec() }
}

const BLUE: Rgb<u8> = Rgb([0, 100, 170]);
const ORANGE: Rgb<u8> = Rgb([220, 90, 10]);

#[test]
fn a_curve_passes_through_its_points() {
    let chart = curve(&[series("loss", &[(0.0, 0.0), (50.0, 1.0), (100.0, 0.0)])], "step", "loss", "title");
    assert_eq!(chart.dimensions(), (960, 600));
    // The plot spans x 100..924, y 60..524; its corners and the middle of its top are the three points.
    for (x, y) in [(101, 522), (511, 61), (922, 522)] {
        assert_eq!(*chart.get_pixel(x, y), BLUE, "{x} {y}");
    }
    assert_eq!(*chart.get_pixel(511, 300), Rgb([255; 3]));
}

#[test]
fn series_have_colours_and_a_legend() {
    let both = [series("a", &[(0.0, 1.0), (1.0, 2.0)]), series("b", &[(0.0, 2.0), (1.0, 1.0)])];
    let chart = curve(&both, "", "", "");
    assert!(counts(&chart, BLUE) > 500 && counts(&chart, ORANGE) > 500);
    let legend = image::imageops::crop_imm(&chart, 0, 50, 960, 30).to_image();
    assert!(counts(&legend, BLUE) >= 72 && counts(&legend, ORANGE) >= 72);
}

#[test]
fn a_gap_is_left_where_a_value_is_not_finite() {
    let points: Vec<(f64, f64)> =
        (0..101).map(|i| (f64::from(i), if (40..60).contains(&i) { f64::NAN } else { 1.0 })).collect();
    let chart = curve(&[series("x", &points)], "x", "y", "t");
    let drawn: Vec<u32> = (100..924).filter(|x| (60..524).any(|y| *chart.get_pixel(*x, y) == BLUE)).collect();
    assert!(drawn.iter().any(|x| *x < 400) && drawn.iter().any(|x| *x > 620));
    assert!(drawn.iter().all(|x| !(440..580).contains(x)), "{drawn:?}");
}

#[test]
fn many_points_are_pale_with_their_means_over_them() {
    // Up and down between 0 and 1: the means are all 0.5.
    let points: Vec<(f64, f64)> = (0..2400).map(|i| (f64::from(i), f64::from(i % 2))).collect();
    let chart = curve(&[series("x", &points)], "x", "y", "t");
    let middle = 60 + 464 / 2;
    assert!((150..900).all(|x| *chart.get_pixel(x, middle) == BLUE));
    let is_pale = |x, y| (170..230).contains(&chart.get_pixel(x, y).0[0]);
    assert!((150..900).all(|x| is_pale(x, 100) && is_pale(x, 450)));
}

/// The last mean is of as many points as the others: an outlier at the end makes no spike.
#[test]
fn the_end_of_a_curve_is_no_spike() {
    // 1418 = 118 x 12 + 2: the last two points are the largest.
    let value = |i: u32| if i >= 1416 { 1.0 } else { f64::from(i % 2) / 10.0 };
    let points: Vec<(f64, f64)> = (0..1418).map(|i| (f64::from(i), value(i))).collect();
    let chart = curve(&[series("x", &points)], "x", "y", "t");
    // The means lie in the lowest third.
    assert!((900..924).all(|x| (60..300).all(|y| *chart.get_pixel(x, y) != BLUE)));
}

/// The steps of a rate are sharp, without means.
#[test]
fn a_curve_without_noise_is_drawn_as_it_is() {
    let points: Vec<(f64, f64)> = (0..1200).map(|i| (f64::from(i), if i < 606 { 1.0 } else { 0.0 })).collect();
    let chart = curve(&[series("x", &points)], "x", "y", "t");
    let middle: Vec<u32> = (100..924).filter(|x| chart.get_pixel(*x, 300).0[0] < 200).collect();
    assert!((1..=4).contains(&middle.len()), "{middle:?}");
}

#[test]
fn odd_curves_do_not_panic() {
    let endless = vec![(f64::NAN, 0.0); 1000];
    let odd: [&[(f64, f64)]; 12] = [
        &endless,
        &[],
        &[(0.0, 0.0)],
        &[(5.0, -3.0)],
        &[(f64::NAN, 1.0), (1.0, f64::INFINITY)],
        &[(1.0, 1.0), (1.0, 1.0)],
        &[(1e16, 1e16), (1e16 + 2.0, 1e16 + 2.0)],
        &[(-1e99, -1e99), (1e99, 1e99)],
        &[(f64::MIN, f64::MAX), (f64::MAX, f64::MIN)],
        &[(1e-310, 1e-310), (0.0, 5e-324)],
        &[(0.0, 1e-320), (1.0, 1e-320)],
        &[(0.0, 1e-5), (1e9, 123_456_789.0)],
    ];
    let long = "名前 ".repeat(500);
    for points in odd {
        for label in ["", "ä\t", long.as_str()] {
            let many = vec![series(label, points); 30];
            assert_eq!(curve(&many, label, label, label).dimensions(), (960, 600));
            assert_eq!(curve(&many[..1], label, label, label).dimensions(), (960, 600));
        }
    }
    assert_eq!(curve(&[], "", "", "").dimensions(), (960, 600));
}

#[test]
fn save_png_replaces_whole_files_and_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.png");
    let image = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8, y as u8, 9]));
    save_png(&RgbImage::new(2, 2), &path).unwrap();
    save_png(&image, &path).unwrap();
    assert_eq!(image::open(&path).unwrap().to_rgb8(), image);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = save_png(&RgbImage::new(0, 0), &path).unwrap_err();
    assert!(error.to_string().contains("image.png"), "{error}");
    assert_eq!(image::open(&path).unwrap().to_rgb8(), image);
    let missing = folder.path().join("none").join("a.png");
    assert!(save_png(&image, &missing).unwrap_err().to_string().contains("none"));
    for name in ["a.jpg", "png", ".png", "pack.h5"] {
        let error = save_png(&image, &folder.path().join(name)).unwrap_err().to_string();
        let expected = format!("{name}: expected a name that ends in .png: the image is written as PNG");
        assert!(error.ends_with(&expected), "{error}");
    }
    save_png(&image, &folder.path().join("b.PNG")).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
