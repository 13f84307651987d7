// What a training step does to each parameter array, in place, one thread for each element.

// v <- momentum v - lr g - shrinkage w;  w <- w + v.
extern "C" __global__ void sgd_update(
    Real* __restrict__ weight, Real* __restrict__ velocity, const Real* __restrict__ gradient,
    Real lr, Real momentum, Real shrinkage, long long count)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= count) return;
    const Real v = momentum * velocity[t] - lr * gradient[t] - shrinkage * weight[t];
    velocity[t] = v;
    weight[t] += v;
}

// average <- average + share (value - average).
extern "C" __global__ void sgd_approach(
    Real* __restrict__ average, const Real* __restrict__ value, Real share, long long count)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t < count) average[t] += share * (value[t] - average[t]);
}
