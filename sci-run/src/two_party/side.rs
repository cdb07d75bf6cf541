//! What a party does differently: where its share of the input comes from, what it multiplies, and
//! what the owner of the weights computes alone.

use athos::{Error, Result, Weights};
use sci_core::{Domain, Shares};
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
}

/// The server's side.
#[derive(Debug)]
pub struct Serving<'a> {
    weights: &'a Weights,
    /// For what it computes alone: as many threads as the session may use.
    pool: rayon::ThreadPool,
}

impl<'a> Serving<'a> {
    /// With the weight table and so many threads.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(weights: &'a Weights, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| sci_core::Error::resource(format!("no threads: {e}")))?;
        Ok(Self { weights, pool })
    }
}

/// The client's side, with one quantised input.
#[derive(Debug)]
pub struct Asking<'a>(pub &'a [i64]);

impl<D: Domain> Side<D> for Serving<'_> {
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
}

impl<D: Domain> Side<D> for Asking<'_> {
    fn input(&self, domain: D, len: usize) -> Result<Shares<D>> {
        if self.0.len() != len {
            return Err(Error::invalid("input", format!("{len} numbers"), self.0.len()));
        }
        let values: Vec<u64> = self.0.iter().map(|&x| domain.from_signed(x)).collect();
        if self.0.iter().zip(&values).any(|(&x, &v)| domain.to_signed(v) != x) {
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
}
