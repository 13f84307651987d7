// What a training step does to each parameter array, in place, one thread for each element. Where `failed` is given and
// raised, nothing changes: no host needs to wait for the flag.

// v <- momentum v - lr g - shrinkage w.
__device__ Real next_velocity(Real weight, Real velocity, Real gradient, Real lr, Real momentum, Real shrinkage)
{
    return momentum * velocity - lr * gradient - shrinkage * weight;
}

// Raises the flag where w + v would be a NaN or an infinity. Several threads may write it: all of them write 1.
extern "C" __global__ void sgd_flag(
    const Real* __restrict__ weight, const Real* __restrict__ velocity, const Real* __restrict__ gradient, int* failed,
    Real lr, Real momentum, Real shrinkage, long long count)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= count) return;
    const Real v = next_velocity(weight[t], velocity[t], gradient[t], lr, momentum, shrinkage);
    if (!isfinite(weight[t] + v)) *failed = 1;
}

// v as above;  w <- w + v.
extern "C" __global__ void sgd_update(
    Real* __restrict__ weight, Real* __restrict__ velocity, const Real* __restrict__ gradient,
    const int* __restrict__ failed, Real lr, Real momentum, Real shrinkage, long long count)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= count || (failed && *failed)) return;
    const Real v = next_velocity(weight[t], velocity[t], gradient[t], lr, momentum, shrinkage);
    velocity[t] = v;
    weight[t] += v;
}

// average <- average + share (value - average).
extern "C" __global__ void sgd_approach(
    Real* __restrict__ average, const Real* __restrict__ value, const int* __restrict__ failed, Real share,
    long long count)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t < count && !(failed && *failed)) average[t] += share * (value[t] - average[t]);
}
