// What a training step does to each parameter array, in place, one thread for each element. Where `failed` is given and
// raised, nothing changes: no host needs to wait for the flag.

// v <- momentum v - lr g - shrinkage w.
__device__ Real next_velocity(Real weight, Real velocity, Real gradient, Real lr, Real momentum, Real shrinkage)
{
    return momentum * velocity - lr * gradient - shrinkage * weight;
}

// Raises the flag where w + v, or w alone where there is no gradient, is a NaN or an infinity. All arrays of a step in one
// launch, the n-th of them along blockIdx.y: table (n, 4) holds the addresses of w, v and g and their number of elements,
// settings (n, 3) its lr, momentum and shrinkage. Several threads may write the flag: all of them write 1.
extern "C" __global__ void sgd_flag(
    const Real* __restrict__ settings, const long long* __restrict__ table, int* failed)
{
    const long long* entry = table + 4 * blockIdx.y;
    const Real* setting = settings + 3 * blockIdx.y;
    const Real* weight = (const Real*)entry[0];
    const Real* velocity = (const Real*)entry[1];
    const Real* gradient = (const Real*)entry[2];
    const long long count = entry[3], stride = (long long)gridDim.x * blockDim.x;
    bool finite = true;
    for (long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x; t < count; t += stride) {
        Real value = weight[t];
        if (gradient) value += next_velocity(value, velocity[t], gradient[t], setting[0], setting[1], setting[2]);
        finite = finite && isfinite(value);
    }
    if (!finite) *failed = 1;
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
