//! The two packings of lattice encryption behind one face: coefficients (the default), and the batched slots of
//! the original SCI-HE. A session has one of them.

use super::phases::Phases;
use athos::{Error, Result};
use sci_core::channel::Stream;
use sci_core::geometry::{ConvGeometry, LinearGeometry};
use sci_core::{Cost, Domain, Prg, Shares};
use sci_he::params::Privacy;
use sci_he::{coefficient, session, simd};

/// How values are placed in ciphertexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// As coefficients of polynomials: no rotations, any domain.
    #[default]
    Coefficient,
    /// In batched slots, with rotations: prime fields, as in the CrypTFlow2 paper.
    Simd,
}

impl Packing {
    /// As in options and parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coefficient => "coefficient",
            Self::Simd => "simd",
        }
    }
}

/// A planned product. Public.
#[derive(Debug)]
pub enum Layer<D: Domain> {
    /// Of coefficients, perhaps without its dilation.
    Coefficient(Box<coefficient::Layer<D>>, Option<Box<Phases>>),
    /// Of slots.
    Simd(Box<simd::Layer<D>>),
}

impl<D: Domain> Layer<D> {
    /// A convolution.
    ///
    /// # Errors
    /// Where no parameters hold it.
    pub fn conv(
        packing: Packing,
        geometry: &ConvGeometry,
        domain: D,
        bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        Ok(match packing {
            Packing::Coefficient => {
                let (layer, phases) = with_fewest_bytes(geometry, domain, bound, privacy)?;
                Self::Coefficient(Box::new(layer), phases)
            }
            Packing::Simd => {
                Self::Simd(Box::new(simd::Layer::conv(geometry, domain, bound, privacy)?))
            }
        })
    }

    /// x·W^T.
    ///
    /// # Errors
    /// Where no parameters hold it.
    pub fn fully_connected(
        packing: Packing,
        geometry: &LinearGeometry,
        domain: D,
        bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        Ok(match packing {
            Packing::Coefficient => {
                let layer = coefficient::Layer::fully_connected(geometry, domain, bound, privacy)?;
                Self::Coefficient(Box::new(layer), None)
            }
            Packing::Simd => {
                let layer = simd::Layer::fully_connected(geometry, domain, bound, privacy)?;
                Self::Simd(Box::new(layer))
            }
        })
    }

    /// x·w, w repeated along the axes where it has length 1.
    ///
    /// # Errors
    /// Where no parameters hold it.
    pub fn elementwise(
        packing: Packing,
        shape: &[usize],
        weight_shape: &[usize],
        domain: D,
        bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        Ok(match packing {
            Packing::Coefficient => {
                let layer =
                    coefficient::Layer::elementwise(shape, weight_shape, domain, bound, privacy)?;
                Self::Coefficient(Box::new(layer), None)
            }
            Packing::Simd => {
                let layer = simd::Layer::elementwise(shape, weight_shape, domain, bound, privacy)?;
                Self::Simd(Box::new(layer))
            }
        })
    }

    /// Payload of a run, without keys.
    pub fn cost(&self) -> Cost {
        match self {
            Self::Coefficient(layer, _) => layer.cost(),
            Self::Simd(layer) => layer.cost(),
        }
    }

    /// Coefficients that a run sends and the flooding has to cover.
    pub fn response_coefficients(&self) -> u64 {
        let coefficients = match self {
            Self::Coefficient(layer, _) => layer.output_len(),
            Self::Simd(layer) => layer.response_coefficients(),
        };
        coefficients as u64
    }

    /// Coefficients of a ciphertext.
    pub fn degree(&self) -> usize {
        match self {
            Self::Coefficient(layer, _) => layer.context().params().degree(),
            Self::Simd(layer) => layer.context().params().degree(),
        }
    }
}

/// What keys the layers of a session need. Public.
#[derive(Debug)]
pub enum Setup<D: Domain> {
    /// Of coefficients.
    Coefficient(session::Setup<D>),
    /// Of slots.
    Simd(simd::Setup<D>),
}

impl<D: Domain> Setup<D> {
    /// For layers of one packing; `None` without layers.
    ///
    /// # Errors
    /// None for planned layers.
    pub fn new<'a>(layers: impl Iterator<Item = &'a Layer<D>> + Clone) -> Result<Option<Self>> {
        let coefficient = layers.clone().filter_map(|layer| match layer {
            Layer::Coefficient(layer, _) => Some(layer.as_ref()),
            Layer::Simd(_) => None,
        });
        let simd = layers.clone().filter_map(|layer| match layer {
            Layer::Simd(layer) => Some(layer.as_ref()),
            Layer::Coefficient(..) => None,
        });
        Ok(match layers.clone().next() {
            None => None,
            Some(Layer::Coefficient(..)) => {
                Some(Self::Coefficient(session::Setup::new(coefficient)))
            }
            Some(Layer::Simd(_)) => Some(Self::Simd(simd::Setup::new(simd))),
        })
    }

    /// Payload of the keys, once a session.
    pub fn cost(&self) -> Cost {
        match self {
            Self::Coefficient(setup) => setup.cost(),
            Self::Simd(setup) => setup.cost(),
        }
    }

    /// The client's part: fresh keys, of which it sends the public halves; later it computes with so many
    /// threads.
    ///
    /// # Errors
    /// Those of the link.
    pub fn send(
        &self,
        stream: &mut Stream,
        threads: usize,
        prg: &mut Prg,
    ) -> Result<ClientKeys<D>> {
        Ok(match self {
            Self::Coefficient(setup) => {
                let keys = session::ClientKeys::send(stream, setup, prg)?;
                ClientKeys::Coefficient(keys.with_threads(threads)?)
            }
            Self::Simd(setup) => {
                let keys = simd::ClientKeys::send(stream, setup, prg)?;
                ClientKeys::Simd(keys.with_threads(threads)?)
            }
        })
    }

    /// The server's part; later it computes with so many threads.
    ///
    /// # Errors
    /// Those of the link, and malformed keys.
    pub fn receive(&self, stream: &mut Stream, threads: usize) -> Result<ServerKeys<D>> {
        Ok(match self {
            Self::Coefficient(setup) => {
                let keys = session::ServerKeys::receive(stream, setup)?;
                ServerKeys::Coefficient(keys.with_threads(threads)?)
            }
            Self::Simd(setup) => {
                let keys = simd::ServerKeys::receive(stream, setup)?;
                ServerKeys::Simd(keys.with_threads(threads)?)
            }
        })
    }
}

/// The client's keys of a session.
#[derive(Debug)]
pub enum ClientKeys<D: Domain> {
    /// Of coefficients.
    Coefficient(session::ClientKeys<D>),
    /// Of slots.
    Simd(simd::ClientKeys<D>),
}

/// The server's keys of a session.
#[derive(Debug)]
pub enum ServerKeys<D: Domain> {
    /// Of coefficients.
    Coefficient(session::ServerKeys<D>),
    /// Of slots.
    Simd(simd::ServerKeys<D>),
}

/// The server's weights of a layer.
#[derive(Debug)]
pub enum Weights {
    /// Of coefficients.
    Coefficient(coefficient::Weights),
    /// Of slots.
    Simd(simd::Weights),
}

impl Weights {
    /// Weights for a layer: transformed now if that takes no more than `room` bytes, otherwise in every run.
    ///
    /// # Errors
    /// Another number of them, or one beyond the bound.
    pub fn within<D: Domain>(layer: &Layer<D>, values: Vec<i32>, room: u64) -> Result<Self> {
        Ok(match layer {
            Layer::Coefficient(layer, _) => {
                use coefficient::Weights;
                let fits = Weights::prepared_bytes(layer) as u64 <= room;
                let make = if fits { Weights::prepare } else { Weights::on_the_fly };
                Self::Coefficient(make(layer, values)?)
            }
            Layer::Simd(layer) => {
                use simd::Weights;
                let fits = Weights::prepared_bytes(layer) as u64 <= room;
                let make = if fits { Weights::prepare } else { Weights::on_the_fly };
                Self::Simd(make(layer, values)?)
            }
        })
    }

    /// Bytes of what was transformed ahead: 0 if it is transformed in every run.
    pub fn transformed_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Coefficient(weights) => weights.transformed_bytes(),
            Self::Simd(weights) => weights.transformed_bytes(),
        };
        bytes as u64
    }

    /// Bytes that transformed weights of a layer take.
    pub fn prepared_bytes<D: Domain>(layer: &Layer<D>) -> u64 {
        let bytes = match layer {
            Layer::Coefficient(layer, _) => coefficient::Weights::prepared_bytes(layer),
            Layer::Simd(layer) => simd::Weights::prepared_bytes(layer),
        };
        bytes as u64
    }
}

fn mixed() -> Error {
    Error::Misuse("two packings in one session".into())
}

/// The server's part of a product: from its share of x to its share of W·x.
///
/// # Errors
/// Those of the link, and malformed requests.
pub fn run_server<D: Domain>(
    stream: &mut Stream,
    layer: &Layer<D>,
    keys: &ServerKeys<D>,
    weights: &Weights,
    share: &Shares<D>,
    prg: &mut Prg,
) -> Result<Shares<D>> {
    Ok(match (layer, keys, weights) {
        (
            Layer::Coefficient(layer, phases),
            ServerKeys::Coefficient(keys),
            Weights::Coefficient(weights),
        ) => {
            let run = |share: &Shares<D>| {
                coefficient::run_server(stream, layer, keys, weights, share, prg)
            };
            through(phases.as_deref(), share, run)?
        }
        (Layer::Simd(layer), ServerKeys::Simd(keys), Weights::Simd(weights)) => {
            simd::run_server(stream, layer, keys, weights, share, prg)?
        }
        _ => return Err(mixed()),
    })
}

/// The client's part of a product.
///
/// # Errors
/// Those of the link, and malformed responses.
pub fn run_client<D: Domain>(
    stream: &mut Stream,
    layer: &Layer<D>,
    keys: &ClientKeys<D>,
    share: &Shares<D>,
    prg: &mut Prg,
) -> Result<Shares<D>> {
    Ok(match (layer, keys) {
        (Layer::Coefficient(layer, phases), ClientKeys::Coefficient(keys)) => {
            let run = |share: &Shares<D>| coefficient::run_client(stream, layer, keys, share, prg);
            through(phases.as_deref(), share, run)?
        }
        (Layer::Simd(layer), ClientKeys::Simd(keys)) => {
            simd::run_client(stream, layer, keys, share, prg)?
        }
        _ => return Err(mixed()),
    })
}

/// The plan of coefficients that sends the fewest bytes: of a convolution as it is, or without some of its dilations.
fn with_fewest_bytes<D: Domain>(
    geometry: &ConvGeometry,
    domain: D,
    bound: u64,
    privacy: Privacy,
) -> Result<(coefficient::Layer<D>, Option<Box<Phases>>)> {
    let plan = |geometry: &ConvGeometry| coefficient::Layer::conv(geometry, domain, bound, privacy);
    let mut best = plan(geometry).map(|layer| (layer, None));
    for phases in Phases::all(geometry) {
        let Ok(layer) = plan(phases.undilated()) else { continue };
        let bytes = layer.cost().bytes();
        if best.as_ref().map_or(true, |(best, _)| bytes < best.cost().bytes()) {
            best = Ok((layer, Some(Box::new(phases))));
        }
    }
    Ok(best?)
}

/// Runs a layer whose dilation may be undone.
fn through<D: Domain>(
    phases: Option<&Phases>,
    share: &Shares<D>,
    run: impl FnOnce(&Shares<D>) -> sci_core::Result<Shares<D>>,
) -> sci_core::Result<Shares<D>> {
    let Some(phases) = phases else { return run(share) };
    let domain = share.domain();
    let output = run(&Shares::from_canonical(domain, phases.gather(share.values())?))?;
    Ok(Shares::from_canonical(domain, phases.scatter(output.values())?))
}
