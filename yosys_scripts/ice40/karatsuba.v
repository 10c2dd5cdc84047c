// Wide products from three of half the width (Karatsuba 1962): with a = a1·2^H + a0, likewise b,
// a·b = a1·b1·2^2H + (a1·b1 + a0·b0 + (a1 - a0)·(b0 - b1))·2^H + a0·b0.
//
// It pays from 40 bits on, which are no format's (48 bits: 2113 LUTs instead of 2351; 32 bits, signed:
// 1064 instead of 1055).
(* techmap_celltype = "$mul" *)
module ice40_karatsuba_mul (A, B, Y);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;
	parameter Y_WIDTH = 1;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [Y_WIDTH-1:0] Y;

	localparam TOO_NARROW = A_WIDTH < `KARATSUBA_WIDTH || A_WIDTH != B_WIDTH;
	wire _TECHMAP_FAIL_ = TOO_NARROW;
	// A half of one bit would be none.
	generate if (!TOO_NARROW) begin : halves
	localparam SIGNED = A_SIGNED && B_SIGNED;
	localparam H = A_WIDTH / 2;
	localparam W = A_WIDTH - H;

	wire [H-1:0] a0 = A[H-1:0], b0 = B[H-1:0];
	wire [W-1:0] a1 = A[A_WIDTH-1:H], b1 = B[A_WIDTH-1:H];
	// As cells: of an expression the operands would be as wide as its result.
	wire [2*H-1:0] low;
	\$mul #(.A_WIDTH(H), .B_WIDTH(H), .Y_WIDTH(2*H), .A_SIGNED(0), .B_SIGNED(0))
		low_mul (.A(a0), .B(b0), .Y(low));

	// Both differences have a sign: in W + 1 bits, and one more if the high part has one too.
	localparam D = W + 1 + SIGNED;
	wire signed [D-1:0] a = (SIGNED ? $signed(a1) : $signed({1'b0, a1})) - $signed({1'b0, a0});
	wire signed [D-1:0] b = $signed({1'b0, b0}) - (SIGNED ? $signed(b1) : $signed({1'b0, b1}));
	wire signed [2*D-1:0] middle;
	\$mul #(.A_WIDTH(D), .B_WIDTH(D), .Y_WIDTH(2*D), .A_SIGNED(1), .B_SIGNED(1))
		middle_mul (.A(a), .B(b), .Y(middle));

	wire [2*W-1:0] high;
	\$mul #(.A_WIDTH(W), .B_WIDTH(W), .Y_WIDTH(2*W), .A_SIGNED(SIGNED), .B_SIGNED(SIGNED))
		high_mul (.A(a1), .B(b1), .Y(high));

	// Never negative for unsigned operands; modulo its width it is right for any.
	localparam C = A_WIDTH + 2;
	wire signed [C-1:0] ends = (SIGNED ? $signed(high) : $signed({1'b0, high})) + $signed({1'b0, low});
	wire signed [C-1:0] cross = ends + middle;
	wire signed [2*A_WIDTH-1:0] shifted = SIGNED ? cross : $signed({2'b0, cross[C-2:0]});
	wire [2*A_WIDTH-1:0] product = {high, low} + (shifted << H);

	if (SIGNED)
		assign Y = $signed(product);
	else
		assign Y = product;
	end endgenerate
endmodule
