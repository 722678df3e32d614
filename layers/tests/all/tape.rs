//! The tape: what it records, computes, skips, frees and refuses.

use std::sync::{Arc, Mutex, Weak};

use alexnet_layers::{Backward, Error, InputGrads, Result, Tape, Var};
use tensor::{Cpu, Tensor};

type B = Cpu<f64>;

fn device() -> B {
    Cpu::new(1).unwrap()
}

fn tensor(values: &[f64]) -> Tensor<B> {
    Tensor::from_slice(&device(), &[values.len()], values).unwrap()
}

/// y = 2 x, that runs `seen` when its backward runs, and holds `alive` till then.
struct Double<F> {
    seen: F,
    _alive: Arc<()>,
}

impl<F: FnOnce() + Send> Backward<B> for Double<F> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        (self.seen)();
        grads.add(0, || dy.scale(2.0))
    }
}

/// Records a [`Double`]; the second value dies with what it saved.
fn double(tape: &mut Tape<B>, x: &Var<B>, seen: impl FnOnce() + Send + 'static) -> (Var<B>, Weak<()>) {
    let alive = Arc::new(());
    let weak = Arc::downgrade(&alive);
    let y = x.value().scale(2.0).unwrap();
    (tape.record("double", &[x], y, || Double { seen, _alive: alive }).unwrap(), weak)
}

fn gradient(tape: Tape<B>, loss: &Var<B>, x: &Var<B>) -> Vec<f64> {
    tape.backward(loss).unwrap().get(x).unwrap().to_vec().unwrap()
}

#[test]
fn gradients_of_a_value_used_more_than_once_add_up() {
    // sum of x^3 + x: 3 x^2 + 1.
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[1.0, -2.0, 0.5]));
    let square = tape.multiply(&x, &x).unwrap();
    let cube = tape.multiply(&square, &x).unwrap();
    let both = tape.add(&cube, &x).unwrap();
    let loss = tape.sum(&both).unwrap();
    assert_eq!(gradient(tape, &loss, &x), [4.0, 13.0, 1.75]);
}

#[test]
fn adding_to_one_gradient_leaves_those_that_share_its_buffer() {
    // (a + b) + a: one dy goes to a and to b, and a's is then added to.
    let mut tape = Tape::new();
    let a = tape.parameter(tensor(&[1.0, 2.0]));
    let b = tape.parameter(tensor(&[3.0, 4.0]));
    let first = tape.add(&a, &b).unwrap();
    let second = tape.add(&first, &a).unwrap();
    let loss = tape.sum(&second).unwrap();
    let gradients = tape.backward(&loss).unwrap();
    assert_eq!(gradients.get(&a).unwrap().to_vec().unwrap(), [2.0, 2.0]);
    assert_eq!(gradients.get(&b).unwrap().to_vec().unwrap(), [1.0, 1.0]);
}

#[test]
fn what_depends_on_no_parameter_is_not_recorded() {
    let mut tape = Tape::new();
    let x = Var::constant(tensor(&[1.0, 2.0]));
    let (y, saved) = double(&mut tape, &x, || panic!("no input requires a gradient"));
    assert!(tape.is_empty() && saved.upgrade().is_none() && !y.requires_grad());
    // A parameter after it: still nothing flows back to x.
    let w = tape.parameter(tensor(&[3.0, 4.0]));
    let product = tape.multiply(&y, &w).unwrap();
    let loss = tape.sum(&product).unwrap();
    let gradients = tape.backward(&loss).unwrap();
    assert_eq!(gradients.get(&w).unwrap().to_vec().unwrap(), [2.0, 4.0]);
    assert!(gradients.get(&x).is_none());
}

#[test]
fn gradients_of_constants_are_never_computed() {
    struct OnlyFirst;
    impl Backward<B> for OnlyFirst {
        fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
            assert!(grads.requires_grad(0) && !grads.requires_grad(1) && !grads.requires_grad(2));
            grads.add(1, || panic!("the gradient of a constant was computed"))?;
            grads.add(2, || panic!("the gradient of no input was computed"))?;
            grads.add(0, || Ok(dy))
        }
    }
    let mut tape = Tape::new();
    let w = tape.parameter(tensor(&[1.0]));
    let image = Var::constant(tensor(&[5.0]));
    let y = w.value().add(image.value()).unwrap();
    let y = tape.record("only first", &[&w, &image], y, || OnlyFirst).unwrap();
    assert_eq!(gradient(tape, &y, &w), [1.0]);
}

#[test]
fn branches_that_the_loss_does_not_depend_on_are_not_walked() {
    let mut tape = Tape::new();
    let used = tape.parameter(tensor(&[1.0]));
    let unused = tape.parameter(tensor(&[1.0]));
    let loss = tape.sum(&used).unwrap();
    double(&mut tape, &unused, || panic!("the loss does not depend on this"));
    double(&mut tape, &loss, || panic!("this comes after the loss"));
    let gradients = tape.backward(&loss).unwrap();
    assert!(gradients.get(&used).is_some() && gradients.get(&unused).is_none());
}

#[test]
fn saved_values_are_freed_on_the_way_back() {
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[1.0]));
    let later: Arc<Mutex<Weak<()>>> = Arc::default();
    let check = Arc::clone(&later);
    let (y, first) = double(&mut tape, &x, move || assert!(check.lock().unwrap().upgrade().is_none()));
    let (z, second) = double(&mut tape, &y, || ());
    assert!(first.upgrade().is_some() && second.upgrade().is_some());
    *later.lock().unwrap() = second;
    assert_eq!(gradient(tape, &z, &x), [4.0]);
    assert!(first.upgrade().is_none());
}

#[test]
fn a_tape_that_is_dropped_frees_everything() {
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[1.0]));
    let (_y, saved) = double(&mut tape, &x, || ());
    drop(tape);
    assert!(saved.upgrade().is_none());
}

#[test]
fn a_deep_chain_needs_no_deep_stack() {
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[1.0, 2.0]));
    let mut y = x.clone();
    for _ in 0..20_000 {
        y = tape.add(&y, &x).unwrap();
    }
    let loss = tape.mean(&y).unwrap();
    assert_eq!(tape.len(), 20_002);
    assert_eq!(gradient(tape, &loss, &x), [10_000.5, 10_000.5]);
}

#[test]
fn a_gradient_can_be_taken_once_and_intermediate_values_have_none() {
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[3.0]));
    let y = tape.scale(&x, 5.0).unwrap();
    let loss = tape.sum(&y).unwrap();
    let mut gradients = tape.backward(&loss).unwrap();
    assert!(gradients.get(&y).is_none() && gradients.get(&loss).is_none());
    assert_eq!(gradients.take(&x).unwrap().scalar().unwrap(), 5.0);
    assert!(gradients.take(&x).is_none());
}

#[test]
fn the_loss_may_be_a_parameter() {
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[3.0]));
    assert_eq!(gradient(tape, &x, &x), [1.0]);
}

#[test]
fn an_inference_tape_computes_the_same_and_records_nothing() {
    let mut training = Tape::new();
    let mut inference = Tape::inference();
    assert!(training.is_recording() && !inference.is_recording());
    let [y, z] = [&mut training, &mut inference].map(|tape| {
        let x = tape.parameter(tensor(&[1.0, -2.0]));
        let square = tape.multiply(&x, &x).unwrap();
        tape.mean(&square).unwrap()
    });
    assert_eq!(y.value().scalar().unwrap(), z.value().scalar().unwrap());
    assert!(inference.is_empty() && !z.requires_grad());
    assert_refused(inference.backward(&z), "backward: this tape is for inference");
}

#[test]
fn a_loss_of_more_than_one_value_is_refused() {
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[1.0, 2.0, 3.0]));
    assert_refused(tape.backward(&x), "backward: the loss must be one value, got shape [3]; take its sum or mean");
}

#[test]
fn a_loss_without_parameters_is_refused() {
    let loss = Var::constant(tensor(&[1.0]));
    assert_refused(Tape::new().backward(&loss), "backward: the loss depends on no parameter");
}

#[test]
fn values_of_another_tape_are_refused() {
    let mut one = Tape::new();
    let mut other = Tape::new();
    let x = one.parameter(tensor(&[1.0]));
    let y = other.parameter(tensor(&[2.0]));
    assert_refused(one.multiply(&x, &y), "multiply: a value of shape [1] was computed on another tape");
    assert_refused(Tape::inference().sum(&x), "sum: a value of shape [1] was computed on another tape");
    // Its value can be used as a constant.
    let product = one.multiply(&x, &Var::constant(y.value().clone())).unwrap();
    let gradients = one.backward(&product).unwrap();
    assert_eq!(gradients.get(&x).unwrap().scalar().unwrap(), 2.0);
    // Both have place 0, but on different tapes.
    assert!(gradients.get(&y).is_none());
    assert_refused(other.backward(&product), "backward: a value of shape [1] was computed on another tape");
}

#[test]
fn a_tape_can_move_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let mut tape = Tape::new();
    let x = tape.parameter(tensor(&[2.0]));
    let loss = tape.multiply(&x, &x).unwrap();
    is_send(&tape);
    let found = std::thread::spawn(move || gradient(tape, &loss, &x)).join().unwrap();
    assert_eq!(found, [4.0]);
}

/// The gradients that [`Tape::backward_each`] passes on, in order.
fn each(tape: Tape<B>, loss: Var<B>, parameters: &[&Var<B>]) -> Vec<(usize, Vec<f64>)> {
    let mut taken = Vec::new();
    let parameters = parameters.iter().map(|&p| Some(p.clone())).collect();
    let take = |number, gradient: Tensor<B>| -> Result<()> {
        taken.push((number, gradient.to_vec()?));
        Ok(())
    };
    tape.backward_each(loss, parameters, take).unwrap();
    taken
}

#[test]
fn gradients_are_handed_over_once_and_complete_the_last_layers_first() {
    // The sum of b (a x + a): a is used twice, c never, and d leads nowhere.
    let record = |tape: &mut Tape<B>| {
        let [a, b, c, d] = [[2.0, 3.0], [5.0, 7.0], [1.0, 1.0], [4.0, 4.0]].map(|v| tape.parameter(tensor(&v)));
        let x = Var::constant(tensor(&[10.0, 20.0]));
        let product = tape.multiply(&a, &x).unwrap();
        let both = tape.add(&product, &a).unwrap();
        let y = tape.multiply(&b, &both).unwrap();
        tape.multiply(&d, &d).unwrap();
        let loss = tape.sum(&y).unwrap();
        (loss, [a, b, c, d])
    };
    let mut tape = Tape::new();
    let (loss, [a, b, c, d]) = record(&mut tape);
    assert_eq!(each(tape, loss, &[&a, &b, &c, &d]), [(1, vec![22.0, 63.0]), (0, vec![55.0, 147.0])]);
    // Not those that are not asked for.
    let mut tape = Tape::new();
    let (loss, [a, ..]) = record(&mut tape);
    assert_eq!(each(tape, loss, &[&a]), [(0, vec![55.0, 147.0])]);
}

#[test]
fn a_parameter_is_held_by_nobody_else_when_its_gradient_comes() {
    let mut value = tensor(&vec![2.0; 5000]);
    let device = value.device().clone();
    let mut tape = Tape::new();
    let w = tape.parameter(value.clone());
    let y = tape.multiply(&w, &w).unwrap();
    let loss = tape.sum(&y).unwrap();
    drop(y);
    let taken = tape.backward_each(loss, vec![None, Some(w)], |number, gradient| {
        assert_eq!(number, 1);
        let before = device.allocated_bytes();
        value.add_scaled(-0.25, &gradient)?;
        // A shared buffer would have been copied.
        assert_eq!(device.allocated_bytes(), before);
        Ok::<_, Error>(())
    });
    taken.unwrap();
    assert_eq!(value.to_vec().unwrap(), [1.0; 5000]);
}

#[test]
fn an_error_of_take_ends_the_backward_pass() {
    let mut tape = Tape::new();
    let a = tape.parameter(tensor(&[1.0]));
    let b = tape.parameter(tensor(&[2.0]));
    let y = tape.multiply(&a, &a).unwrap();
    let loss = tape.multiply(&y, &b).unwrap();
    let mut calls = 0;
    let done = tape.backward_each(loss, vec![Some(a), Some(b)], |_, _| {
        calls += 1;
        Err(Error::Tape { op: "test", what: "no".into() })
    });
    assert_refused(done, "test: no");
    assert_eq!(calls, 1);
    // A parameter of another tape is refused before anything is done.
    let mut tape = Tape::new();
    let mut other = Tape::new();
    let a = tape.parameter(tensor(&[1.0]));
    let b = other.parameter(tensor(&[1.0]));
    let loss = tape.multiply(&a, &a).unwrap();
    let refused = tape.backward_each(loss, vec![Some(a), Some(b)], |_, _| Ok::<_, Error>(()));
    assert_refused(refused, "backward: a value of shape [1] was computed on another tape");
}

fn assert_refused<T>(outcome: Result<T>, start: &str) {
    match outcome {
        Err(error @ Error::Tape { .. }) => assert!(error.to_string().starts_with(start), "{error}"),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("not refused: {start}"),
    }
}
