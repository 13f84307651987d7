// Images (N, H, W), each through an affine map and a field of shifts of its own, one thread for each output pixel.

__device__ Real clipped(Real value, Real low, Real high)
{
    return value < low ? low : value > high ? high : value;  // a NaN stays one, so that it is seen
}

// The pixel there; outside the image there is paper.
__device__ Real pixel(const Real* image, long long row, long long column, long long H, long long W)
{
    return row >= 0 && row < H && column >= 0 && column < W ? image[row * W + column] : 0;
}

// maps (N, 2, 3), from output to input; displacement (N, 2, H, W), or null.
extern "C" __global__ void warp(
    const Real* __restrict__ images, const Real* __restrict__ maps, const Real* __restrict__ displacement,
    Real* __restrict__ warped, long long N, long long H, long long W)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= N * H * W) return;
    const long long column = t % W, row = t / W % H, n = t / W / H;
    const Real* map = maps + 6 * n;
    Real x = map[0] * column + map[1] * row + map[2];
    Real y = map[3] * column + map[4] * row + map[5];
    if (displacement) {
        x += displacement[(2 * n * H + row) * W + column];
        y += displacement[((2 * n + 1) * H + row) * W + column];
    }
    // Beyond this there is nothing but paper, and numbers that do not fit into an integer.
    x = clipped(x, (Real)-1.5, W + (Real)0.5);
    y = clipped(y, (Real)-1.5, H + (Real)0.5);
    const Real left = floor(x), top = floor(y), right_share = x - left, lower_share = y - top;
    const long long i = (long long)top, j = (long long)left;
    const Real* image = images + n * H * W;
    const Real upper = pixel(image, i, j, H, W) * (1 - right_share) + pixel(image, i, j + 1, H, W) * right_share;
    const Real lower = pixel(image, i + 1, j, H, W) * (1 - right_share) + pixel(image, i + 1, j + 1, H, W) * right_share;
    warped[t] = upper * (1 - lower_share) + lower * lower_share;
}
