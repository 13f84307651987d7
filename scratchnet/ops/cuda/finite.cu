// Raises the flag where a value is a NaN or an infinity. Several threads may write it: all of them write 1.
extern "C" __global__ void flag_not_finite(const Real* __restrict__ values, int* failed, long long count)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t < count && !isfinite(values[t])) *failed = 1;
}
