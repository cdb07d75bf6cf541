//! What a party does differently: where its share of the input comes from, what it multiplies, and
//! what the owner of the weights computes alone.

use crate::linear::Prepared;
use crate::linear::packing::{ClientKeys, Layer, ServerKeys, run_client, run_server};
use athos::{Error, Result, Weights};
use sci_core::channel::Stream;
use sci_core::{Domain, Prg, Shares};
use sci_ot::linear::Matrix;
use zeroize::Zeroizing;

/// What one party knows that the other does not.
pub trait Side<D: Domain> {
    /// This party's share of the input.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the input does not fit the program.
    fn input(&self, domain: D, len: usize) -> Result<Shares<D>>;

    /// This party's operand of a product of weights and the client's shares: what `load` makes of the
    /// weights (kept in `own`), or the shares.
    ///
    /// # Errors
    /// What `load` returns.
    fn operand<'a>(
        &self,
        shares: &'a [u64],
        own: &'a mut Zeroizing<Vec<i64>>,
        load: impl FnOnce(&Weights) -> Result<Vec<i64>>,
    ) -> Result<Matrix<'a>>;

    /// Adds to a shared tensor what the owner of the weights computes alone.
    ///
    /// # Errors
    /// What `part` returns.
    fn alone(
        &self,
        out: &mut Shares<D>,
        part: impl FnOnce(&Weights) -> Result<Vec<u64>> + Send,
    ) -> Result<()>;

    /// Shares of W x by lattice encryption, for the weights of an instruction.
    ///
    /// # Errors
    /// Those of the link and the peer; [`Error::Misuse`] without keys.
    fn lattice(
        &mut self,
        stream: &mut Stream,
        instruction: usize,
        layer: &Layer<D>,
        shares: &Shares<D>,
    ) -> Result<Shares<D>>;
}

/// The server's side.
#[derive(Debug)]
pub struct Serving<'a, D: Domain> {
    weights: &'a Weights,
    prepared: &'a Prepared,
    keys: Option<&'a ServerKeys<D>>,
    /// For what it computes alone: as many threads as the session may use.
    pool: rayon::ThreadPool,
    prg: Prg,
}

impl<'a, D: Domain> Serving<'a, D> {
    /// With the weights and the client's keys if there are lattice layers, and so many threads.
    ///
    /// # Errors
    /// If the system has no threads or no randomness.
    pub fn new(
        weights: &'a Weights,
        prepared: &'a Prepared,
        keys: Option<&'a ServerKeys<D>>,
        threads: usize,
    ) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| sci_core::Error::resource(format!("no threads: {e}")))?;
        Ok(Self { weights, prepared, keys, pool, prg: Prg::from_os()? })
    }
}

/// The client's side.
#[derive(Debug)]
pub struct Asking<'a, D: Domain> {
    input: &'a [i64],
    keys: Option<&'a ClientKeys<D>>,
    prg: Prg,
}

impl<'a, D: Domain> Asking<'a, D> {
    /// With one quantised input, and its keys if there are lattice layers.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(input: &'a [i64], keys: Option<&'a ClientKeys<D>>) -> Result<Self> {
        Ok(Self { input, keys, prg: Prg::from_os()? })
    }
}

fn no_keys() -> Error {
    Error::Misuse("a lattice layer in a session without keys".into())
}

impl<D: Domain> Side<D> for Serving<'_, D> {
    fn input(&self, domain: D, len: usize) -> Result<Shares<D>> {
        Ok(Shares::zeros(domain, len))
    }

    fn operand<'a>(
        &self,
        _: &'a [u64],
        own: &'a mut Zeroizing<Vec<i64>>,
        load: impl FnOnce(&Weights) -> Result<Vec<i64>>,
    ) -> Result<Matrix<'a>> {
        *own = Zeroizing::new(load(self.weights)?);
        Ok(Matrix::Weights(own))
    }

    fn alone(
        &self,
        out: &mut Shares<D>,
        part: impl FnOnce(&Weights) -> Result<Vec<u64>> + Send,
    ) -> Result<()> {
        let own = self.pool.install(|| part(self.weights))?;
        Ok(out.add_assign(&Shares::from_canonical(out.domain(), own))?)
    }

    fn lattice(
        &mut self,
        stream: &mut Stream,
        instruction: usize,
        layer: &Layer<D>,
        shares: &Shares<D>,
    ) -> Result<Shares<D>> {
        let (keys, weights) = (self.keys.ok_or_else(no_keys)?, self.prepared.weights(instruction)?);
        run_server(stream, layer, keys, weights, shares, &mut self.prg)
    }
}

impl<D: Domain> Side<D> for Asking<'_, D> {
    fn input(&self, domain: D, len: usize) -> Result<Shares<D>> {
        if self.input.len() != len {
            return Err(Error::invalid("input", format!("{len} numbers"), self.input.len()));
        }
        let values: Vec<u64> = self.input.iter().map(|&x| domain.from_signed(x)).collect();
        if self.input.iter().zip(&values).any(|(&x, &v)| domain.to_signed(v) != x) {
            let expected = format!("values that fit Z_{domain}");
            return Err(Error::invalid("input", expected, "larger ones"));
        }
        Ok(Shares::from_canonical(domain, values))
    }

    fn operand<'a>(
        &self,
        shares: &'a [u64],
        _: &'a mut Zeroizing<Vec<i64>>,
        _: impl FnOnce(&Weights) -> Result<Vec<i64>>,
    ) -> Result<Matrix<'a>> {
        Ok(Matrix::Inputs(shares))
    }

    fn alone(
        &self,
        _: &mut Shares<D>,
        _: impl FnOnce(&Weights) -> Result<Vec<u64>> + Send,
    ) -> Result<()> {
        Ok(())
    }

    fn lattice(
        &mut self,
        stream: &mut Stream,
        _: usize,
        layer: &Layer<D>,
        shares: &Shares<D>,
    ) -> Result<Shares<D>> {
        let keys = self.keys.ok_or_else(no_keys)?;
        run_client(stream, layer, keys, shares, &mut self.prg)
    }
}
