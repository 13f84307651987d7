"""The part of CuPy that the stand-in has: its functions with their parameters, constants, methods and operators."""

# CuPy's functions with CuPy's parameters; those after the bar are optional. None takes NumPy's `where` or `initial`.
# test_cupy_names.py compares the table with CuPy if it is installed.
FUNCTIONS = """
    abs ceil cos exp expm1 floor invert isfinite isinf isnan: x | out dtype
    log log1p logical_not negative reciprocal rint sign sin sqrt square tanh: x | out dtype
    add bitwise_and bitwise_or bitwise_xor divide equal floor_divide greater greater_equal: x1 x2 | out dtype
    left_shift less less_equal logaddexp logical_and logical_or matmul maximum minimum: x1 x2 | out dtype
    multiply not_equal power remainder right_shift subtract: x1 x2 | out dtype
    all amax amin any max min: a | axis out keepdims
    argmax argmin mean sum: a | axis dtype out keepdims
    argsort: a | axis kind
    count_nonzero: a | axis
    empty ones zeros: shape | dtype order
    ones_like zeros_like: a | dtype order subok shape
    empty_like: prototype | dtype order subok shape
    full: shape fill_value | dtype order
    full_like: a fill_value | dtype order subok shape
    arange: start | stop step dtype
    asarray: a | dtype order
    ascontiguousarray: a | dtype
    concatenate stack: tup | axis out
    flip squeeze: a | axis
    expand_dims: a axis
    moveaxis: a source destination
    swapaxes: a axis1 axis2
    transpose: a | axes
    ravel: a | order
    reshape: a newshape | order
    broadcast_to: array shape
    broadcast_shapes: *args
    pad: array pad_width | mode constant_values
    repeat: a repeats | axis
    rot90: a | k axes
    diag: v | k
    linalg.solve: a b
    lib.stride_tricks.as_strided: x | shape strides
    lib.stride_tricks.sliding_window_view: x window_shape | axis
    take: a indices | axis out
    take_along_axis: a indices axis
    where: condition x y
    clip: a a_min a_max | out
    copyto: dst src
    cumsum: a | axis dtype out
    dot: a b | out
    tensordot: a b | axes
    einsum: *operands | dtype optimize
    result_type: *arrays_and_dtypes
"""
CONSTANTS = """
    bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
    dtype e finfo iinfo inf nan newaxis pi
"""
METHODS = "all any argmax argmin cumsum dot max mean min ravel repeat squeeze sum swapaxes take"
COMPARISONS = "eq:equal ne:not_equal lt:less le:less_equal gt:greater ge:greater_equal"
OPERATORS = """
    add:add sub:subtract mul:multiply truediv:divide floordiv:floor_divide mod:remainder pow:power
    and:bitwise_and or:bitwise_or xor:bitwise_xor lshift:left_shift rshift:right_shift
"""
SYNCHRONISING = """
    __array__ __bool__ __complex__ __contains__ __float__ __index__ __int__ __iter__ __reduce_ex__
    get item nonzero tobytes tolist
"""
DISPATCHING = "__array_function__ __array_ufunc__"

# The name of a parameter says what it takes. Those not listed take plain Python values: shapes, axes, dtypes.
ARRAY_PARAMETERS = {"a", "array", "b", "condition", "dst", "out", "prototype", "src", "v"}
NUMBER_PARAMETERS = {"a_max", "a_min", "fill_value", "indices", "value", "x", "x1", "x2", "y"}  # or an array
NULLABLE_PARAMETERS = {"a_max", "a_min", "out"}  # or None
LIST_PARAMETERS = {"tup": "a", "args": "item", "arrays_and_dtypes": "item", "operands": "item"}  # of what

CUPY_DTYPES = "?bBhHiIlLqQefdFD"
WITHOUT_COMPLEX_LOOP = {"clip", "logical_and", "logical_not", "logical_or"}  # NumPy's take complex numbers

SIGNATURES = {
    name: parameters.strip()
    for line in FUNCTIONS.strip().splitlines()
    for names, parameters in [line.split(":")]
    for name in names.split()
}
