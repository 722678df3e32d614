//! Input that cannot be counted is refused, and nothing is counted.

use alexnet_classification::{Classification, Error};

#[test]
fn what_cannot_be_counted() {
    let mut test = Classification::new(3);
    assert_eq!(test.add(0, &[0.5, 0.5]), Err(Error::Length { found: 2, classes: 3 }));
    assert_eq!(test.add(3, &[0.2, 0.3, 0.5]), Err(Error::Label { label: 3, classes: 3 }));
    for value in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
        let Err(Error::Probability { class: 1, value: found }) = test.add(0, &[0.2, value, 0.3]) else {
            panic!("{value} was counted")
        };
        assert_eq!(found.to_bits(), value.to_bits());
    }
    assert_eq!((test.images(), test.confusion().count(0, 0)), (0, 0));
    // The rounding of a softmax.
    test.add(0, &[1.000_001, 0.0, 0.0]).unwrap();
    assert_eq!(test.images(), 1);
}

#[test]
fn no_images_give_no_figures_that_are_not_numbers() {
    let report = Classification::new(2).report(1);
    assert_eq!((report.images, report.loss, report.top1_error), (0, 0.0, 0.0));
    assert_eq!((report.top1_interval, report.roc), (None, None));
    assert_eq!((report.classes[0].precision, report.calibration.expected_error), (None, 0.0));
}

/// A probability of 0 has a finite loss.
#[test]
fn an_impossible_label_costs_87_nats() {
    let mut test = Classification::new(2);
    let outcome = test.add(1, &[1.0, 0.0]).unwrap();
    assert!((outcome.loss - 87.336_55).abs() < 1e-3, "{outcome:?}");
}
