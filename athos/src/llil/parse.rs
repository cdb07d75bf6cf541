//! Reading what [`super::print`] wrote. The preprocessing is no part of the text and comes back as none.

use super::{Builder, Op, Precision, Sign, TensorId, WeightId, WeightInfo, WeightRole};
use crate::program::{OutputForm, PublicProgram};
use crate::text::{Cursor, linear};
use crate::{Error, Result};
use sci_core::{AnyDomain, Field};

/// Reads a program. What it says of shapes and scales is checked against the typing rules;
/// [`PublicProgram::check`] does the rest.
///
/// # Errors
/// [`Error::Invalid`] naming the line.
pub fn parse(text: &str) -> Result<PublicProgram> {
    let mut lines = text.lines().enumerate().map(|(i, line)| Cursor::new(i + 1, line)).peekable();
    let first = lines.next().ok_or_else(|| Error::invalid("program", "a first line", "nothing"))?;
    let header = Header::parse(first)?;
    let mut weights = Vec::new();
    while let Some(mut line) = lines.next_if(|line| line.clone().eat("w")) {
        weights.push(weight(&mut line, weights.len())?);
    }
    let mut builder = Builder::new(header.domain, weights);
    let mut output_form = None;
    for mut line in lines {
        if output_form.is_some() {
            return Err(line.wrong("nothing after the output"));
        }
        if line.eat("output ") {
            output_form = Some(match line.word() {
                "ArgMax" => OutputForm::ArgMax,
                "Logits" => OutputForm::Logits,
                _ => return Err(line.wrong("ArgMax or Logits")),
            });
            line.end()?;
        } else {
            instruction(line, &mut builder)?;
        }
    }
    let output_form =
        output_form.ok_or_else(|| Error::invalid("program", "a line with the output", "none"))?;
    let (instructions, weights) = builder.finish();
    let Header { name, domain, scale, weight_bits } = header;
    Ok(PublicProgram {
        name,
        domain,
        scale,
        weight_bits,
        instructions,
        weights,
        output_form,
        preprocess: None,
    })
}

struct Header {
    name: String,
    domain: AnyDomain,
    scale: u32,
    weight_bits: u32,
}

impl Header {
    fn parse(mut line: Cursor<'_>) -> Result<Self> {
        line.expect("program ")?;
        let (name, mut rest) = line.rsplit(" over ")?;
        let domain = match rest.eat("2^") {
            true => AnyDomain::ring(rest.number()?)?,
            false => AnyDomain::Field(Field::new(rest.number()?)?),
        };
        let scale = rest.field(", scale ")?;
        let weight_bits = rest.field(", weights ")?;
        rest.expect(" bits")?;
        rest.end()?;
        Ok(Self { name: name.name()?, domain, scale, weight_bits })
    }
}

fn weight(line: &mut Cursor<'_>, place: usize) -> Result<WeightInfo> {
    line.expect(&format!("w{place}: "))?;
    let (mut rest, name) = line.named()?;
    let role = match rest.word() {
        "factor" => WeightRole::Factor,
        "addend" => WeightRole::Addend,
        _ => return Err(rest.wrong("factor or addend")),
    };
    rest.expect(" ")?;
    let shape = rest.shape()?;
    // The width follows from the role.
    let _: u32 = rest.field(" i")?;
    let scale = rest.field(" @")?;
    rest.end()?;
    Ok(WeightInfo { name, shape, scale, role })
}

fn instruction(line: Cursor<'_>, builder: &mut Builder) -> Result<()> {
    let whole = line.clone();
    let line = line.split()?;
    let (mut body, mut tail) = (line.body, line.tail);
    body.expect(&format!("%{} = ", builder.instructions().len()))?;
    let name = body.word();
    let inputs: Vec<TensorId> = body
        .operands()?
        .into_iter()
        .map(|i| u32::try_from(i).map(TensorId).map_err(|_| whole.wrong("a tensor")))
        .collect::<Result<_>>()?;
    let shape = tail.shape()?;
    let scale: u32 = tail.field(" @")?;
    tail.end()?;
    let x = match inputs.first() {
        Some(id) => {
            builder.info(*id).map_err(|_| whole.wrong("operands defined before"))?.shape.clone()
        }
        None => Vec::new(),
    };
    let op = operation(name, &mut body, builder, &x, (&shape, scale))?;
    let precision = match body.option(" in ")? {
        Some(bits) => {
            body.expect(" bits")?;
            Precision::Bits(bits)
        }
        None => Precision::Full,
    };
    body.end()?;
    let id = builder.push_narrow(&line.name, op, precision, &inputs)?;
    let inferred = builder.info(id)?;
    if (&inferred.shape, inferred.scale) != (&shape, scale) {
        return Err(whole.wrong(format_args!("{:?} @{}", inferred.shape, inferred.scale)));
    }
    Ok(())
}

fn weight_id(body: &mut Cursor<'_>, sign: &str) -> Result<WeightId> {
    Ok(WeightId(body.field(&format!(" {sign} w"))?))
}

fn sign(body: &mut Cursor<'_>) -> Sign {
    if body.eat(", x >= 0") { Sign::NonNegative } else { Sign::Unknown }
}

fn operation(
    name: &str,
    body: &mut Cursor<'_>,
    builder: &Builder,
    x: &[usize],
    (shape, scale): (&[usize], u32),
) -> Result<Op> {
    let with_bias = |body: &mut Cursor<'_>| -> Result<(WeightId, Option<WeightId>, Vec<usize>)> {
        let weight = weight_id(body, "*")?;
        let bias = body.option(" + w")?.map(WeightId);
        let info = builder.weights().get(weight.index());
        let info = info.ok_or_else(|| body.wrong("a declared weight"))?;
        Ok((weight, bias, info.shape.clone()))
    };
    Ok(match name {
        "Input" => Op::Input { shape: shape.to_vec(), scale },
        "Conv" => {
            let (weight, bias, filters) = with_bias(body)?;
            Op::Conv { weight, bias, geometry: body.conv(x, &filters)? }
        }
        "Linear" => {
            let (weight, bias, matrix) = with_bias(body)?;
            Op::Linear { weight, bias, geometry: linear(x, &matrix)? }
        }
        "Add" => Op::Add,
        "Sub" => Op::Sub,
        "ScaleUp" => Op::ScaleUp { shift: body.field(" by ")? },
        "MulPublic" => Op::MulPublic { factor: body.field(" by ")?, scale: body.field(" @")? },
        "AddWeight" => Op::AddWeight { weight: weight_id(body, "+")? },
        "MulWeight" => Op::MulWeight { weight: weight_id(body, "*")? },
        "Relu" => Op::Relu,
        "MaxPool" => Op::MaxPool { geometry: body.pool(x)? },
        "AvgPool" => {
            let geometry = body.pool(x)?;
            let shift = body.option(" by ")?;
            if shift == Some(0) {
                return Err(body.wrong("a shift of at least 1, or none,"));
            }
            Op::AvgPool { geometry, shift: shift.unwrap_or(0), sign: sign(body) }
        }
        "Truncate" => Op::Truncate { shift: body.field(" by ")?, sign: sign(body) },
        "Reshape" => Op::Reshape { shape: shape.to_vec() },
        "Concat" => Op::Concat { axis: body.field(" axis ")? },
        "ArgMax" => Op::ArgMax { axis: body.field(" axis ")? },
        "Transpose" => {
            body.expect(" ")?;
            Op::Transpose { permutation: body.list()? }
        }
        "Pad" => {
            body.expect(" ")?;
            let before = body.list()?;
            body.expect("..")?;
            Op::Pad { before, after: body.list()? }
        }
        "Slice" => {
            body.expect(" from ")?;
            let start = body.list()?;
            body.expect(" by ")?;
            Op::Slice { start, step: body.list()?, shape: shape.to_vec() }
        }
        _ => return Err(body.wrong(format_args!("an operation, not {name:?},"))),
    })
}
