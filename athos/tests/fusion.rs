//! Which truncations are done by ReLUs, and that nothing else about a program changes by it.

use athos::llil::{AxisGeometry, Broadcast, Fusion, Precision, Rearrange, Sign, WeightId, parse};
use athos::{Backend, Error, Limits, PublicProgram, execute};
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};

fn program(body: &str) -> PublicProgram {
    let text = format!(
        "program p over 2^32, scale 8, weights 8 bits\n\
         %0 = Input : 1x2x4x4 @16  ; x\n{body}output Logits\n"
    );
    let public = parse(&text).unwrap();
    public.check(&Limits::default()).unwrap();
    public
}

/// The ReLUs that truncate, with their shifts, and the truncations that are done.
fn fused(public: &PublicProgram) -> (Vec<(usize, u32)>, Vec<usize>) {
    let fusion = Fusion::of(&public.instructions);
    let all = 0..public.instructions.len();
    let shifts = all.clone().filter_map(|i| Some((i, fusion.shift(i)?)));
    (shifts.collect(), all.filter(|&i| fusion.done_before(i)).collect())
}

#[test]
fn a_relu_does_the_truncation_behind_it() {
    let public = program(
        "%1 = Relu %0 : 1x2x4x4 @16  ; r\n\
         %2 = Truncate %1 by 8, x >= 0 : 1x2x4x4 @8  ; t\n",
    );
    assert_eq!(fused(&public), (vec![(1, 8)], vec![2]));
    assert_eq!(Fusion::none().shift(1), None);
    assert!(!Fusion::none().done_before(2));
}

#[test]
fn so_do_those_whose_elements_are_put_together() {
    let public = program(
        "%1 = Relu %0 : 1x2x4x4 @16  ; a\n\
         %2 = Relu %0 : 1x2x4x4 @16  ; b\n\
         %3 = Concat %1, %2 axis 1 : 1x4x4x4 @16  ; c\n\
         %4 = Reshape %3 : 1x4x16 @16  ; s\n\
         %5 = Truncate %4 by 5, x >= 0 : 1x4x16 @11  ; t\n\
         %6 = Add %5, %5 : 1x4x16 @11  ; twice\n",
    );
    assert_eq!(fused(&public), (vec![(1, 5), (2, 5)], vec![5]));
}

#[test]
fn what_others_read_or_look_at_otherwise_stays() {
    let twice = "%1 = Relu %0 : 1x2x4x4 @16  ; r\n\
         %2 = Truncate %1 by 8, x >= 0 : 1x2x4x4 @8  ; t\n\
         %3 = Truncate %1 by 8, x >= 0 : 1x2x4x4 @8  ; u\n";
    let half = "%1 = Relu %0 : 1x2x4x4 @16  ; r\n\
         %2 = Concat %1, %0 axis 1 : 1x4x4x4 @16  ; c\n\
         %3 = Truncate %2 by 8 : 1x4x4x4 @8  ; t\n";
    let sum = "%1 = Relu %0 : 1x2x4x4 @16  ; r\n\
         %2 = Add %1, %0 : 1x2x4x4 @16  ; c\n\
         %3 = Truncate %2 by 8 : 1x2x4x4 @8  ; t\n";
    for body in [twice, half, sum] {
        assert_eq!(fused(&program(body)), (vec![], vec![]), "{body}");
    }
    let mut public = program(
        "%1 = Relu %0 : 1x2x4x4 @16  ; r\n\
         %2 = Truncate %1 by 8, x >= 0 : 1x2x4x4 @8  ; t\n",
    );
    let bits = |relu, truncation, public: &mut PublicProgram| {
        public.instructions[1].precision = relu;
        public.instructions[2].precision = truncation;
        fused(public).1
    };
    let (full, few) = (Precision::Full, Precision::Bits);
    assert_eq!(bits(few(20), full, &mut public), []);
    assert_eq!(bits(few(20), few(21), &mut public), []);
    assert_eq!(bits(few(20), few(20), &mut public), [2]);
}

/// Tensors are what made them, so that the calls of the executor can be told.
struct Told {
    fuses: bool,
    calls: Vec<String>,
}

impl Told {
    fn unused<T>(&self) -> Result<T, Error> {
        Err(Error::Misuse("not in these programs".into()))
    }
}

impl Backend for Told {
    type Secret = String;
    type Error = Error;

    fn fuses_truncation(&self) -> bool {
        self.fuses
    }

    fn enter_layer(&mut self, index: usize, _: &str, op: &'static str) -> Result<(), Error> {
        self.calls.push(format!("{index} {op}"));
        Ok(())
    }

    fn input(&mut self, _: &[usize]) -> Result<String, Error> {
        Ok("x".into())
    }

    fn add(&mut self, x: &String, y: &String) -> Result<String, Error> {
        Ok(format!("({x} + {y})"))
    }

    fn relu(&mut self, x: &String, _: Precision) -> Result<String, Error> {
        Ok(format!("relu({x})"))
    }

    fn truncate(&mut self, x: &String, by: u32, _: Sign, _: Precision) -> Result<String, Error> {
        Ok(format!("trc({x}, {by})"))
    }

    fn rearrange(&mut self, inputs: &[&String], _: &Rearrange) -> Result<String, Error> {
        Ok(format!("{inputs:?}").replace('"', ""))
    }

    fn conv(
        &mut self,
        _: &String,
        _: WeightId,
        _: Option<WeightId>,
        _: &ConvGeometry,
    ) -> Result<String, Error> {
        self.unused()
    }

    fn linear(
        &mut self,
        _: &String,
        _: WeightId,
        _: Option<WeightId>,
        _: &LinearGeometry,
    ) -> Result<String, Error> {
        self.unused()
    }

    fn sub(&mut self, _: &String, _: &String) -> Result<String, Error> {
        self.unused()
    }

    fn mul_public(&mut self, _: &String, _: i64) -> Result<String, Error> {
        self.unused()
    }

    fn add_weight(&mut self, _: &String, _: WeightId, _: &Broadcast) -> Result<String, Error> {
        self.unused()
    }

    fn mul_weight(&mut self, _: &String, _: WeightId, _: &Broadcast) -> Result<String, Error> {
        self.unused()
    }

    fn max_pool(&mut self, _: &String, _: &PoolGeometry, _: Precision) -> Result<String, Error> {
        self.unused()
    }

    fn avg_pool(
        &mut self,
        _: &String,
        _: &PoolGeometry,
        _: u32,
        _: Sign,
        _: Precision,
    ) -> Result<String, Error> {
        self.unused()
    }

    fn arg_max(&mut self, _: &String, _: &AxisGeometry, _: Precision) -> Result<String, Error> {
        self.unused()
    }
}

#[test]
fn the_executor_fuses_for_backends_that_ask() {
    let public = program(
        "%1 = Relu %0 : 1x2x4x4 @16  ; a\n\
         %2 = Relu %0 : 1x2x4x4 @16  ; b\n\
         %3 = Concat %1, %2 axis 1 : 1x4x4x4 @16  ; c\n\
         %4 = Truncate %3 by 5, x >= 0 : 1x4x4x4 @11  ; t\n\
         %5 = Add %4, %4 : 1x4x4x4 @11  ; twice\n",
    );
    let run = |fuses| {
        let mut told = Told { fuses, calls: Vec::new() };
        let mut seen = Vec::new();
        let out = execute(&public, &mut told, |step| seen.push(step.value.clone())).unwrap();
        (out, seen, told.calls)
    };
    let (out, seen, calls) = run(false);
    let apart = "trc([relu(x), relu(x)], 5)";
    assert_eq!(out, format!("({apart} + {apart})"));
    assert_eq!(seen[1], "relu(x)");
    assert_eq!(calls[1..], ["1 Relu", "2 Relu", "3 Concat", "4 Truncate", "5 Add"]);
    let (out, seen, calls) = run(true);
    let fused = "[trc(relu(x), 5), trc(relu(x), 5)]";
    assert_eq!(out, format!("({fused} + {fused})"));
    assert_eq!((seen[1].as_str(), seen[4].as_str()), ("trc(relu(x), 5)", fused));
    assert_eq!(calls[1..], ["1 ReluTruncate", "2 ReluTruncate", "3 Concat", "4 Truncate", "5 Add"]);
}
