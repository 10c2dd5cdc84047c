// A $mul becomes radix-4 Booth rows, added one after the other.
//
// A digit of two bits of B, −2 to 1 and one more if the bits below are a high half, picks a
// multiple of A: three bits of B and two of A, five inputs, and the sixth of the LUT adds the sum
// so far on the carry chain. The inversion of a negative multiple is completed by the carry-in.
// An 8×8 product is 4 rows of 10 LUTs. (Booth 1951, MacSorley 1961.)

(* techmap_celltype = "$mul" *)
module xc7_booth_mul (A, B, Y);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;
	parameter Y_WIDTH = 1;
	parameter _TECHMAP_CONSTMSK_A_ = 0;
	parameter _TECHMAP_CONSTMSK_B_ = 0;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [Y_WIDTH-1:0] Y;

	localparam SIGNED = A_SIGNED && B_SIGNED;
	// The digits are of the narrower operand.
	localparam SWAP = A_WIDTH < B_WIDTH;
	localparam WIDE = SWAP ? B_WIDTH : A_WIDTH;
	localparam NARROW = SWAP ? A_WIDTH : B_WIDTH;
	localparam DIGITS = SIGNED ? (NARROW + 1) / 2 : NARROW / 2 + 1;
	// A multiple of a signed number of W bits has W + 2.
	localparam ROW = (SIGNED ? WIDE : WIDE + 1) + 2;

	// Few rows are smaller without digits, and a constant's rows where it has a one.
	wire _TECHMAP_FAIL_ = NARROW < 4 || (NARROW == 4 && !SIGNED && WIDE > 5)
		|| &_TECHMAP_CONSTMSK_A_ || &_TECHMAP_CONSTMSK_B_;

	generate if (NARROW == 4 && !SIGNED) begin
		// Four rows of ANDs: the first two are one chain, each other one a chain.
		wire [WIDE-1:0] wide = SWAP ? B : A;
		wire [3:0] narrow = SWAP ? A : B;
		wire [WIDE-1:0] row0 = wide & {WIDE{narrow[0]}};
		wire [WIDE:0] sum1, sum2, sum3;
		\$__xc7_add #(.WIDTH(WIDE)) add1 (.A(wide & {WIDE{narrow[1]}}), .B(row0 >> 1), .Y(sum1));
		\$__xc7_add #(.WIDTH(WIDE)) add2 (.A(sum1[WIDE:1]), .B(wide & {WIDE{narrow[2]}}), .Y(sum2));
		\$__xc7_add #(.WIDTH(WIDE)) add3 (.A(sum2[WIDE:1]), .B(wide & {WIDE{narrow[3]}}), .Y(sum3));
		assign Y = {sum3, sum2[0], sum1[0], row0[0]};
	end else begin
	wire signed [ROW-1:0] multiplicand = SIGNED
		? (SWAP ? $signed(B) : $signed(A)) : (SWAP ? $signed({1'b0, B}) : $signed({1'b0, A}));
	wire [2*DIGITS:0] multiplier = {SIGNED
		? (SWAP ? $signed(A) : $signed(B)) : (SWAP ? $signed({1'b0, A}) : $signed({1'b0, B})), 1'b0};

	wire signed [ROW-1:0] sums [0:DIGITS];
	wire [2*DIGITS-1:0] low;
	assign sums[0] = 0;

	genvar i;
	for (i = 0; i < DIGITS; i = i + 1) begin:rows
		wire high = multiplier[2*i+2], middle = multiplier[2*i+1], below = multiplier[2*i];
		wire one = middle ^ below;
		wire two = high ? ~middle & ~below : middle & below;
		wire [ROW-1:0] row = ((multiplicand & {ROW{one}}) | ((multiplicand << 1) & {ROW{two}}))
			^ {ROW{high}};
		wire signed [ROW-1:0] sum;
		wire [ROW-1:0] unused_x, unused_co;
		// The sum so far is A: it goes into the chain beside the LUT.
		\$alu #(
			.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(ROW), .B_WIDTH(ROW), .Y_WIDTH(ROW)
		) add (
			.A(sums[i]), .B(row), .CI(high), .BI(1'b0), .X(unused_x), .Y(sum), .CO(unused_co)
		);
		assign low[2*i +: 2] = sum[1:0];
		assign sums[i+1] = sum >>> 2;
	end

	wire signed [ROW-2+2*DIGITS-1:0] product = {sums[DIGITS][ROW-3:0], low};
	assign Y = product;
	end endgenerate
endmodule

// A chain for adders that are too short for the general rule (small_adders.v).
(* techmap_celltype = "$__xc7_add" *)
module xc7_short_add (A, B, Y);
	parameter WIDTH = 1;
	(* force_downto *) input [WIDTH-1:0] A, B;
	(* force_downto *) output [WIDTH:0] Y;

	localparam COUNT = WIDTH / 4 + 1;
	wire [4*COUNT-1:0] propagate = A ^ B, generated = A, sum, carry;
	assign Y = sum;

	genvar i;
	generate for (i = 0; i < COUNT; i = i + 1) begin:slice
		CARRY4 carry4 (
			.CYINIT(1'b0), .CI(i == 0 ? 1'b0 : carry[(i == 0 ? 1 : 4*i)-1]),
			.S(propagate[4*i +: 4]), .DI(generated[4*i +: 4]),
			.O(sum[4*i +: 4]), .CO(carry[4*i +: 4])
		);
	end endgenerate
endmodule
