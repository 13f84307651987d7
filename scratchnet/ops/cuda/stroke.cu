// Strokes thicker or thinner: images (N, H, W) by their shares (N,), one thread for each pixel.

// thickened = y + s (dilate(g y) - g y) with the share s and its sign g; outside the image there is paper, 0.
extern "C" __global__ void thicken(
    const Real* __restrict__ images, const Real* __restrict__ shares, Real* __restrict__ thickened,
    long long N, long long H, long long W)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= N * H * W) return;
    const long long column = t % W, row = t / W % H, n = t / W / H;
    const Real* image = images + n * H * W;
    const Real share = shares[n], sign = (Real)((share > 0) - (share < 0)), own = sign * image[row * W + column];
    Real largest = own;
    for (long long i = row - 1; i <= row + 1; ++i)
        for (long long j = column - 1; j <= column + 1; ++j) {
            const bool inside = i >= 0 && i < H && j >= 0 && j < W;
            const Real neighbour = inside ? sign * image[i * W + j] : 0;
            if (neighbour > largest || neighbour != neighbour) largest = neighbour;  // a NaN wins, so that it is seen
        }
    thickened[t] = image[row * W + column] + share * (largest - own);
}
